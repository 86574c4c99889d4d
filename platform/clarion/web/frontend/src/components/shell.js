// The frame: the sidebar on phones, "view as table" for charts, the strip shown while the machine is offline.
import { t } from '../strings.js'

const side = () => document.getElementById('side')
function setSide(open) {
  side()?.classList.toggle('open', open)
  document.querySelectorAll('[data-toggle-side]').forEach((b) => b.setAttribute('aria-expanded', open))
}

// On a small screen the menu is longer than the window: begin where one is.
function showWhereOneIs() {
  const here = side()?.querySelector('[aria-current=page]')
  if (here && here.offsetTop + here.offsetHeight > side().clientHeight) side().scrollTop = here.offsetTop - side().clientHeight / 2
}
showWhereOneIs()

document.addEventListener('click', (e) => {
  const open = side()?.classList.contains('open')
  if (e.target.closest('[data-toggle-side]')) setSide(!open)
  else if (open && !e.target.closest('#side')) setSide(false)
})
document.addEventListener('keydown', (e) => {
  if (e.key === 'Escape') setSide(false)
})
document.addEventListener('click', (e) => {
  if (e.target.closest('[data-dismiss]')) e.target.closest('[data-dismissible]')?.remove()
})
document.addEventListener('click', (e) => {
  const button = e.target.closest('[data-view-toggle]')
  const chart = button && document.querySelector(button.dataset.target)
  if (!chart) return
  const table = chart.dataset.uiView !== 'table'
  chart.dataset.uiView = table ? 'table' : ''
  button.dataset.uiOn = table ? '1' : ''
  button.setAttribute('aria-pressed', table)
})

const strip = document.createElement('div')
strip.className = 'strip-x'
strip.setAttribute('role', 'status')
strip.textContent = t('offline')
window.addEventListener('offline', () => document.body.prepend(strip))
window.addEventListener('online', () => strip.remove())
