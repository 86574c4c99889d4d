// <copy-button value="…"><button type="button" aria-label="Copy id">…</button></copy-button>
import { say, t } from '../strings.js'
import { toast } from './toast.js'

class CopyButton extends HTMLElement {
  connectedCallback() {
    if (this.on) return
    this.on = true
    this.addEventListener('click', () => this.copy())
  }
  async copy() {
    try {
      await navigator.clipboard.writeText(this.getAttribute('value'))
    } catch {
      toast({ level: 'danger', text: t('copyFailed') }) // no clipboard without https
      return
    }
    this.dataset.uiState = 'done'
    setTimeout(() => delete this.dataset.uiState, 1500)
    say(t('copied'))
  }
}
customElements.define('copy-button', CopyButton)
