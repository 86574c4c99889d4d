import htmx from 'htmx.org'
import { Alert, Collapse, Dropdown, Modal, Offcanvas, Tab, Toast, Tooltip } from '@tabler/core/js/src/bootstrap'
import './components/time-ago.js'
import './components/copy-button.js'
import './components/live-region.js'
import './components/meter-bar.js'
import './components/ui-chart.js'
import './components/command-palette.js'
import './components/table-select.js'
import './components/theme-switch.js'
import './components/fab-filters.js'
import './components/shell.js'
import './components/forms.js'
import './components/upload.js'
import './components/passkey-step.js'
import { confirmDialog } from './components/confirm.js'
import { toast } from './components/toast.js'
import { enhance } from './enhance.js'
import { t } from './strings.js'

window.htmx = htmx
// Client-rendered elements own their children; client view state lives in data-ui-*: morph must leave both alone.
htmx.config.morphSkipChildren = 'meter-bar, ui-chart, time-ago, .ts-wrapper, [hx-morph-skip-children]'
htmx.config.morphIgnore = ['data-htmx-powered', 'data-ui-']
// A form with mistakes comes back as 422 and is swapped in; every other refusal is a page of its own and would
// land inside a fragment, so it becomes a toast instead.
htmx.config.noSwap = [204, 304, 400, 401, 403, 404, 405, 409, 413, 415, 429, '5xx']

// CSRF and errors in one place (htmx 4 inherits nothing implicitly: hx-headers on <body> would NOT work).
document.addEventListener('htmx:config:request', (e) => {
  const token = document.querySelector('meta[name=csrf-token]')?.content
  if (token && e.detail.ctx.request.method !== 'GET') e.detail.ctx.request.headers['X-CSRFToken'] = token
})
const REFUSALS = { 401: 'signedOut', 403: 'forbidden', 404: 'gone', 409: 'changed', 413: 'tooLarge', 429: 'tooMany' }
document.addEventListener('htmx:response:error', (e) => {
  const { ctx } = e.detail
  const answer = ctx?.response
  if (answer?.headers?.get('HX-Trigger')?.includes('"toast"')) {
    ctx.swap = 'none' // the server said it in its own words; there is nothing to draw
    return
  }
  if (answer?.status === 422) return
  toast({ level: 'danger', text: t(REFUSALS[answer?.status] || 'failed') })
})
document.addEventListener('htmx:error', () => toast({ level: 'danger', text: t('offline') }))
document.addEventListener('toast', (e) => toast(e.detail)) // server: HX-Trigger: {"toast": {...}}
document.addEventListener('htmx:after:swap', () => enhance(document))
enhance(document)

// What a plugin's own ES modules may use.
window.ui = { toast, confirm: confirmDialog, enhance, t, Alert, Collapse, Dropdown, Modal, Offcanvas, Tab, Toast, Tooltip }
