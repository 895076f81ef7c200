// A program written against the documentation of the Direct Call contract. It knows nothing else of the SDK; only the
// import and the hub's address are ours.
const query = new URLSearchParams(location.search);
const { initDirectCall } = await import(`${query.get('hub')}/sdk/intercom.js`);

const $ = (id) => document.getElementById(id);
window.log = [];
function log(what, value) {
  const line = [what, value instanceof Object && value.code ? value.code : String(value)];
  window.log.push(line);
  const li = document.createElement('li');
  li.textContent = line.join(': ');
  $('log').append(li);
}

// A double of the analytics instance: it notes what it is told.
window.events = [];
const clevertap = { event: { push: (name, properties) => window.events.push({ name, ...properties }) }, getCleverTapID: () => 'id', getAccountID: () => 'account' };

let DirectCallClient;
window.client = () => DirectCallClient; // for the tests

$('init').onclick = () => initDirectCall({
  accountId: 'demo', apikey: query.get('key'), cuid: query.get('cuid') ?? 'shop_web', clevertap, name: 'The shop', url: query.get('hub'),
}).then((client) => {
  DirectCallClient = client;
  log('init', 'done');
}).catch((err) => log('init', err));

const place = () => {
  if (!DirectCallClient.isEnabled()) return log('call', 'not enabled');
  DirectCallClient.call('front_door', 'A parcel', { receiver_image: `${location.origin}/face.svg`, initiator_image: `${location.origin}/face.svg` })
    .then((response) => log('call', response))
    .catch((err) => log('call', err));
};
$('call').onclick = place;
$('meter').onclick = () => {
  place();
  setTimeout(() => DirectCallClient.hangup(), 2000);
};
$('hangup').onclick = () => DirectCallClient.hangup();
$('logout').onclick = () => {
  DirectCallClient.logout();
  log('enabled', DirectCallClient.isEnabled());
};
window.ready = true;
