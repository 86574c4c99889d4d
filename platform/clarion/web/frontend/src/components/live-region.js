// <live-region src="/campaigns/1/live" every="2000" data-done-text="Campaign finished"> ... </live-region>
// Polls while the tab is visible, slows down when nothing changes or on errors, stops when the server answers
// "X-Live: done". Swaps by morph, so focus, open menus and running transitions survive. No server thread is held.
import { say, t } from '../strings.js'

class LiveRegion extends HTMLElement {
  connectedCallback() {
    this.base = Number(this.getAttribute('every')) || 2000
    this.wait = this.base
    this.etag = null
    this.seen = () => {
      clearTimeout(this.timer)
      if (document.hidden) return
      this.wait = this.base
      this.plan(0)
    }
    document.addEventListener('visibilitychange', this.seen)
    this.plan(this.wait)
  }
  disconnectedCallback() {
    clearTimeout(this.timer)
    document.removeEventListener('visibilitychange', this.seen)
  }
  plan(ms) {
    clearTimeout(this.timer)
    if (this.dataset.uiLive !== 'done' && !document.hidden) this.timer = setTimeout(() => this.tick(), ms)
  }
  async tick() {
    try {
      await this.ask()
    } catch {
      this.wait = Math.min(this.wait * 2, 30000)
      this.stale(t('connectionLost'))
    }
    this.plan(this.wait)
  }
  async ask() {
    const answer = await fetch(this.getAttribute('src'), {
      headers: { 'HX-Request': 'true', ...(this.etag && { 'If-None-Match': this.etag }) },
      cache: 'no-store',
      redirect: 'manual', // a redirect is the sign-in page: not something to draw here
    })
    if (answer.status === 304) {
      this.wait = Math.min(this.wait * 1.5, 15000)
      this.fresh()
    } else if (answer.ok) {
      this.etag = answer.headers.get('ETag')
      this.wait = this.base
      this.fresh()
      await window.htmx.swap({ text: await answer.text(), target: this, sourceElement: this, swap: 'innerMorph' })
      if (answer.headers.get('X-Live') === 'done') this.finish()
    } else if (answer.type === 'opaqueredirect' || [401, 403, 404].includes(answer.status)) {
      this.dataset.uiLive = 'done'
      this.stale(t(answer.status === 404 ? 'gone' : 'signedOut'))
    } else throw new Error(answer.status)
  }
  finish() {
    this.dataset.uiLive = 'done'
    say(this.dataset.doneText || t('finished'))
  }
  stale(text) {
    this.dataset.uiStale = text
    this.classList.add('is-stale')
  }
  fresh() {
    delete this.dataset.uiStale
    this.classList.remove('is-stale')
  }
}
customElements.define('live-region', LiveRegion)
