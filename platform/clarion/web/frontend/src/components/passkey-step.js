// <passkey-step kind="get|create" options='{…}' [suggest] hidden><form …><input name="credential">…</form></passkey-step>
// Asks the browser for a passkey when its form is sent, puts the answer into the form and sends it.
// Stays hidden where the browser knows none, or where this page is not on the passkeys' host.
import { t } from '../strings.js'

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0))
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '')

function decoded(options) {
  const out = { ...options, challenge: bytes(options.challenge) }
  if (options.user) out.user = { ...options.user, id: bytes(options.user.id) }
  for (const list of ['allowCredentials', 'excludeCredentials'])
    if (options[list]) out[list] = options[list].map((one) => ({ ...one, id: bytes(one.id) }))
  return out
}

function encoded(made) {
  const response = {}
  for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'])
    if (made.response[name]) response[name] = text(made.response[name])
  return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response, clientExtensionResults: {} })
}

const onHost = (id) => location.hostname === id || location.hostname.endsWith(`.${id}`)

class PasskeyStep extends HTMLElement {
  connectedCallback() {
    if (this.on || !window.PublicKeyCredential) return
    this.options = JSON.parse(this.getAttribute('options'))
    if (!onHost(this.options.rpId || this.options.rp?.id)) return
    this.on = true
    this.hidden = false
    for (const e of document.querySelectorAll('passkey-or')) e.hidden = false
    for (const e of document.querySelectorAll('[data-no-passkey]')) e.hidden = true
    this.form = this.querySelector('form')
    this.form.addEventListener('submit', (e) => {
      if (this.form.elements.credential.value) return
      e.preventDefault()
      this.ask()
    })
    if (this.hasAttribute('suggest')) this.suggest()
  }
  disconnectedCallback() {
    this.waiting?.abort()
  }
  async suggest() {
    if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return
    this.waiting = new AbortController()
    try {
      const publicKey = decoded(this.options)
      this.send(await navigator.credentials.get({ publicKey, mediation: 'conditional', signal: this.waiting.signal }))
    } catch {
      // nobody chose one, or the button was pressed instead
    }
  }
  async ask() {
    this.waiting?.abort()
    const button = this.form.querySelector('button')
    button.disabled = true
    try {
      const publicKey = decoded(this.options)
      const how = this.getAttribute('kind')
      this.send(await navigator.credentials[how]({ publicKey }))
    } catch (error) {
      this.say(error.name === 'InvalidStateError' ? t('passkeyKnown') : t('passkeyNot'))
    } finally {
      button.disabled = false
    }
  }
  send(made) {
    if (!made) return
    this.form.elements.credential.value = encoded(made)
    this.form.requestSubmit()
  }
  say(words) {
    const place = this.querySelector('[data-said]')
    place.textContent = words
    place.hidden = false
  }
}
customElements.define('passkey-step', PasskeyStep)
