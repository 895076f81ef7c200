// A browser that cannot read the page's modules is told so, instead of an empty page. In the JavaScript of 2009, as browser.js.
if (window.intercomUnsupported) {
  document.getElementById('app').setAttribute('role', 'alert');
  document.getElementById('app').textContent = window.intercomUnsupported;
}
