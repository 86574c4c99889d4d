// One confirm dialog for the page (#ui-confirm in ui/base.html).
//   <form data-confirm="text" data-label="Stop campaign">       asks before it is sent
//   <button data-post="/x" data-confirm="text">                 a POST without a form of its own
//   data-confirm-type="12480"                                   the person types this before the button opens
import { t } from '../strings.js'

export function confirmDialog({ text, label = t('continue'), count = 1, type = '', safe = false }) {
  const dialog = document.getElementById('ui-confirm')
  if (!dialog) return Promise.resolve(window.confirm(text))
  const ok = dialog.querySelector('[data-ok]')
  const typing = dialog.querySelector('[data-typing]')
  const input = typing.querySelector('input')
  dialog.querySelector('[data-text]').textContent = text
  ok.textContent = count > 1 ? `${label} (${count})` : label
  ok.classList.toggle('btn-primary', safe)
  ok.classList.toggle('btn-danger', !safe)
  typing.hidden = !type
  typing.querySelector('[data-typing-text]').textContent = type ? t('typeToConfirm', { text: type }) : ''
  input.value = ''
  const check = () => {
    ok.disabled = Boolean(type) && input.value.trim() !== type
  }
  input.oninput = check
  check()
  dialog.returnValue = ''
  return new Promise((answer) => {
    dialog.addEventListener('close', () => answer(dialog.returnValue === 'ok' && !ok.disabled), { once: true })
    dialog.showModal()
    ;(type ? input : dialog.querySelector('[value=cancel]')).focus()
  })
}

const question = (el, label) => ({
  text: el.dataset.confirm,
  label: el.dataset.label || label || t('continue'),
  type: el.dataset.confirmType || '',
  safe: 'confirmSafe' in el.dataset,
})

let agreed = null
document.addEventListener(
  'submit',
  (e) => {
    const form = e.target
    const asker = e.submitter?.dataset.confirm ? e.submitter : form
    if (!asker.dataset.confirm) return
    if (agreed === form) return
    e.preventDefault()
    e.stopImmediatePropagation()
    const submitter = e.submitter
    confirmDialog(question(asker, submitter?.textContent.trim())).then((yes) => {
      if (!yes) return
      agreed = form
      form.requestSubmit(submitter?.isConnected ? submitter : undefined)
      agreed = null
    })
  },
  true,
)

document.addEventListener('click', async (e) => {
  const button = e.target.closest('[data-post]')
  if (!button) return
  e.preventDefault()
  if (button.dataset.confirm && !(await confirmDialog(question(button, button.textContent.trim())))) return
  const form = document.getElementById('post_form')
  form.action = button.dataset.post
  form.requestSubmit()
})
