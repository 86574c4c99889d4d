// toast({ text, level: 'success' | 'info' | 'warning' | 'danger', undo: '/address/of/the/undo' })
import { Toast } from '@tabler/core/js/src/bootstrap'
import { t } from '../strings.js'

const LEVELS = new Set(['success', 'info', 'warning', 'danger'])

export function toast({ text, level = 'success', undo = null, delay = 6000 }) {
  const host = document.getElementById('toasts')
  if (!host) return
  const kind = LEVELS.has(level) ? level : 'info'
  const el = document.createElement('div')
  el.className = 'toast ui-toast'
  el.setAttribute('role', kind === 'danger' ? 'alert' : 'status')
  el.setAttribute('aria-atomic', 'true')
  const body = document.createElement('div')
  body.className = 'toast-body d-flex align-items-center gap-2'
  const dot = document.createElement('span')
  dot.className = `status-dot bg-${kind}`
  const words = document.createElement('span')
  words.className = 'flex-fill'
  words.textContent = text
  body.append(dot, words)
  if (undo) body.append(undoButton(el, undo))
  const close = document.createElement('button')
  close.type = 'button'
  close.className = 'btn-close'
  close.setAttribute('aria-label', t('close'))
  close.dataset.bsDismiss = 'toast'
  body.append(close)
  el.append(body)
  host.append(el)
  el.addEventListener('hidden.bs.toast', () => el.remove())
  new Toast(el, { delay: undo ? Math.max(delay, 10000) : delay, autohide: kind !== 'danger' }).show()
}

function undoButton(el, address) {
  const button = document.createElement('button')
  button.type = 'button'
  button.className = 'btn btn-sm'
  button.textContent = t('undo')
  button.addEventListener('click', () => {
    window.htmx.ajax('POST', address, { swap: 'none' })
    Toast.getInstance(el)?.hide()
  })
  return button
}
