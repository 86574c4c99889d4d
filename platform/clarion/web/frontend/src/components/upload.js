// <ui-upload max-bytes="20000000"> around <input type=file> in a POST form: drop zone, progress, size check.
// Without JavaScript the form is an ordinary upload. fetch() has no upload progress, hence XMLHttpRequest.
import { say, t } from '../strings.js'
import { toast } from './toast.js'

class UiUpload extends HTMLElement {
  connectedCallback() {
    if (this.on) return
    this.on = true
    this.input = this.querySelector('input[type=file]')
    if (!this.input) return
    this.form = this.input.form
    for (const name of ['dragover', 'dragleave', 'drop']) this.addEventListener(name, (e) => this.drag(e))
    this.input.addEventListener('change', () => this.chosen())
    this.form?.addEventListener('submit', (e) => this.submit(e))
  }
  drag(e) {
    e.preventDefault()
    this.toggleAttribute('data-ui-over', e.type === 'dragover')
    if (e.type !== 'drop' || !e.dataTransfer.files.length) return
    this.input.files = e.dataTransfer.files
    this.chosen()
  }
  chosen() {
    const file = this.input.files[0]
    const limit = Number(this.getAttribute('max-bytes')) || Infinity
    const name = this.querySelector('[data-file-name]')
    this.input.setCustomValidity(file && file.size > limit ? t('tooLarge') : '')
    if (name) name.textContent = file ? file.name : ''
    this.toggleAttribute('data-ui-chosen', Boolean(file))
    if (file) this.input.reportValidity()
  }
  submit(e) {
    if (e.defaultPrevented || !this.input.files.length) return
    e.preventDefault()
    delete this.form.dataset.uiDirty
    e.submitter?.classList.add('is-busy')
    const request = new XMLHttpRequest()
    const meter = this.meter()
    request.upload.addEventListener('progress', (p) => p.lengthComputable && this.progress(meter, p.loaded / p.total))
    request.addEventListener('load', () => this.answered(request, e.submitter))
    request.addEventListener('error', () => this.failed(e.submitter, t('offline')))
    request.open('POST', this.form.action)
    const data = new FormData(this.form)
    if (e.submitter?.name) data.append(e.submitter.name, e.submitter.value)
    request.send(data)
  }
  meter() {
    const bar = this.querySelector('meter-bar') || document.createElement('meter-bar')
    bar.setAttribute('role', 'progressbar')
    bar.setAttribute('aria-label', t('uploading'))
    this.append(bar)
    return bar
  }
  progress(meter, share) {
    const percent = Math.round(share * 100)
    meter.setAttribute('parts', `${percent}:info`)
    meter.setAttribute('aria-valuenow', percent)
    if (percent === 100) say(t('checking'))
  }
  answered(request, submitter) {
    if (request.status < 400) {
      location.assign(request.responseURL)
      return
    }
    const page = new DOMParser().parseFromString(request.responseText, 'text/html').getElementById('content')
    const here = document.getElementById('content')
    if (request.status === 422 && page && here) {
      here.replaceChildren(...page.children)
      window.ui.enhance(here)
      here.focus()
    } else this.failed(submitter, t(request.status === 413 ? 'tooLarge' : 'failed'))
  }
  failed(submitter, text) {
    submitter?.classList.remove('is-busy')
    this.querySelector('meter-bar')?.remove()
    toast({ level: 'danger', text })
  }
}
customElements.define('ui-upload', UiUpload)
