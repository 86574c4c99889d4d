// Forms without surprises: one click sends once, unsaved work is not lost, a button can insert a placeholder.
const BUSY_MS = 8000

function release(form) {
  delete form.dataset.uiBusy
  form.querySelectorAll('.is-busy').forEach((b) => b.classList.remove('is-busy'))
}

document.addEventListener('submit', (e) => {
  const form = e.target
  if (e.defaultPrevented || form.method === 'dialog' || 'download' in form.dataset) return
  if (form.dataset.uiBusy) {
    e.preventDefault()
    return
  }
  form.dataset.uiBusy = '1'
  delete form.dataset.uiDirty
  e.submitter?.classList.add('is-busy')
  setTimeout(() => release(form), BUSY_MS)
})
// Coming back by the browser's history shows the page as it was: nothing is under way any more.
window.addEventListener('pageshow', () => document.querySelectorAll('form[data-ui-busy]').forEach(release))

document.addEventListener('input', (e) => {
  const form = e.target.closest?.('form[data-guard]')
  if (form) form.dataset.uiDirty = '1'
})
window.addEventListener('beforeunload', (e) => {
  if (document.querySelector('form[data-ui-dirty]')) e.preventDefault()
})

// <select data-submit> inside a GET form: choosing is sending (a filter); the button stays for keyboards and no-JS.
document.addEventListener('change', (e) => {
  if (e.target.matches?.('[data-submit]')) e.target.form?.requestSubmit()
})

// <button type="button" data-insert="{{first_name}}" data-target="#body">
document.addEventListener('click', (e) => {
  const button = e.target.closest('[data-insert]')
  if (!button) return
  const field = document.querySelector(button.dataset.target)
  if (!field) return
  field.setRangeText(button.dataset.insert, field.selectionStart, field.selectionEnd, 'end')
  field.focus()
  field.dispatchEvent(new Event('input', { bubbles: true }))
  field.dispatchEvent(new Event('change', { bubbles: true }))
})
