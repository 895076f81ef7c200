// Tells whether this browser can run the SDK: window.intercomUnsupported is empty, or says what is missing. It is written
// in the JavaScript of 2009, so that every browser can read it, as a module or as a plain script. README.md has the table
// of browsers; test/unit/browsers.test.js checks it, and this list, against what the SDK uses.
(function () {
  if (typeof window === 'undefined') return; // a server that renders pages
  /** @type {any} */
  var w = window;
  var missing = '';
  /** @param {string} name @param {() => unknown} has */
  function want(name, has) {
    try {
      if (has()) return;
    } catch (err) { /* nor what it belongs to */ }
    missing += (missing && ', ') + name;
  }
  want('String.replaceAll', function () { return w.String.prototype.replaceAll; });
  want('RTCPeerConnection.connectionState', function () { return 'connectionState' in w.RTCPeerConnection.prototype; });
  want('CSSStyleSheet.replaceSync', function () { return w.CSSStyleSheet.prototype.replaceSync; });
  want('CSS inset', function () { return w.CSS.supports('inset', '0'); });
  w.intercomUnsupported = missing && 'This browser cannot make calls: it has no ' + missing +
    '. Use Chrome, Edge or Opera 87, Firefox 113, Safari 16.4, or newer.';
})();
