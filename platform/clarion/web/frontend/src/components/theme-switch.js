const mark = () => {
  const chosen = document.documentElement.dataset.themePref || 'auto'
  document.querySelectorAll('[data-set-theme]').forEach((b) => b.setAttribute('aria-pressed', b.dataset.setTheme === chosen))
}
document.addEventListener('click', (e) => {
  const b = e.target.closest('[data-set-theme]')
  if (!b) return
  window.__setTheme(b.dataset.setTheme)
  mark()
})
mark()
