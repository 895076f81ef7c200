// A call that comes in while the page is hidden: a notification, where the user allowed them, and the page's title.

/**
 * attend does that for a client, until what it gives is called.
 * @param {import('./client.js').Client} client
 * @param {string} title of a notification
 */
export function attend(client, title) {
  return client.on('incoming', (/** @type {import('./call.js').Call} */ call) => {
    const before = document.title;
    const badge = `📞 ${call.peer.name || call.peer.cuid}`;
    /** @type {Notification | undefined} */
    let note;
    const look = () => {
      document.title = document.hidden ? badge : before;
      if (!document.hidden || note || globalThis.Notification?.permission !== 'granted') return;
      try {
        note = new Notification(title, { body: call.context, tag: `intercom ${call.id}`, requireInteraction: true });
        note.onclick = () => {
          focus();
          note?.close();
        };
      } catch { /* a phone's browser has them in a service worker only */ }
    };
    document.addEventListener('visibilitychange', look);
    look();
    const off = call.on('state', () => {
      if (call.state === 'ringing') return;
      off();
      document.removeEventListener('visibilitychange', look);
      document.title = before;
      note?.close();
    });
  });
}
