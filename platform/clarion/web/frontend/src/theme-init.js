// Loaded blocking in <head> (tiny, external, so script-src 'self' is enough): no flash of the wrong theme.
// The cookie is written only when somebody chooses a theme, never before.
;(function () {
  var root = document.documentElement,
    pref = root.getAttribute('data-theme-pref') || 'auto'
  var mq = window.matchMedia('(prefers-color-scheme: dark)')
  function apply() {
    root.setAttribute('data-bs-theme', pref === 'auto' ? (mq.matches ? 'dark' : 'light') : pref)
    document.dispatchEvent(new CustomEvent('ui:theme'))
  }
  apply()
  mq.addEventListener('change', apply)
  window.__setTheme = function (chosen) {
    pref = chosen
    root.setAttribute('data-theme-pref', chosen)
    document.cookie =
      'clarion-theme=' + chosen + ';path=/;max-age=31536000;samesite=lax' + (location.protocol === 'https:' ? ';secure' : '')
    apply()
  }
})()
