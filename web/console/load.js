// A page whose scripts or looks cannot be fetched is loaded again, until they can: browsers abort requests when their
// machine's network changes, and some keep a module that failed until the page is loaded anew. It comes before all others,
// in the JavaScript of 2009.
(function () {
  var wait = 2000; // milliseconds
  var waiting = false;
  window.addEventListener('error', function (event) { // of an element; those of programs have the window for their target
    var from = event.target;
    if (waiting || !(from.tagName === 'SCRIPT' || from.tagName === 'LINK' && from.rel === 'stylesheet')) return;
    waiting = true;
    setTimeout(function () { window.location.reload(); }, wait);
  }, true);
})();
