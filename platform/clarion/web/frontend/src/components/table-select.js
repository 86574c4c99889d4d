// <table-select> wraps a table whose rows carry <input type=checkbox name=rowid>: shift-click ranges, "select page",
// floating bulk bar. A bulk button fills the form (data-form, else #action_form) and submits it; boxes that do not
// belong to that form are copied into it. [data-bulk-everybody] takes all the list is of, not only this page (all=1).
import { confirmDialog } from './confirm.js'

class TableSelect extends HTMLElement {
  connectedCallback() {
    if (this.on) return
    this.on = true
    this.addEventListener('click', (e) => this.clicked(e))
    this.addEventListener('change', (e) => {
      if (!e.target.matches('[data-check-all]')) return
      for (const box of this.boxes) box.checked = e.target.checked
      this.sync()
    })
    this.sync()
  }
  get boxes() {
    return [...this.querySelectorAll('input[name=rowid]')]
  }
  clicked(e) {
    if (e.target.matches?.('input[name=rowid]')) return this.picked(e.target, e.shiftKey)
    const bulk = e.target.closest('[data-bulk]')
    if (bulk) return this.run(bulk)
    const everybody = e.target.closest('[data-bulk-everybody]')
    if (everybody) {
      this.everybody = !this.everybody
      return this.sync(true)
    }
    if (e.target.closest('[data-bulk-clear]')) {
      for (const box of this.boxes) box.checked = false
      this.sync()
    }
  }
  picked(box, range) {
    const all = this.boxes
    if (range && this.last) {
      const [from, to] = [all.indexOf(this.last), all.indexOf(box)].sort((x, y) => x - y)
      for (const between of all.slice(from, to + 1)) between.checked = box.checked
    }
    this.last = box
    this.sync()
  }
  sync(keep = false) {
    if (!keep) this.everybody = false
    const all = this.boxes
    const on = all.filter((x) => x.checked)
    all.forEach((x) => x.closest('tr')?.classList.toggle('is-selected', x.checked))
    const head = this.querySelector('[data-check-all]')
    if (head) {
      head.checked = on.length > 0 && on.length === all.length
      head.indeterminate = on.length > 0 && on.length < all.length
    }
    const bar = this.querySelector('.bulk-bar')
    if (!bar) return
    bar.hidden = !on.length
    bar.querySelector('[data-bulk-everybody]')?.setAttribute('aria-pressed', String(this.everybody))
    const count = bar.querySelector('[data-count]')
    if (count) count.textContent = this.everybody ? count.dataset.all : on.length
  }
  async run(button) {
    const ids = this.boxes.filter((x) => x.checked)
    const { confirm: text, confirmType: type, form: name, bulk } = button.dataset
    if (text && !(await confirmDialog({ text, type, label: button.textContent.trim(), count: ids.length }))) return
    const form = document.getElementById(name || 'action_form')
    form.querySelectorAll('input[data-ui-copied]').forEach((x) => x.remove())
    const give = (field, value) => {
      const hidden = document.createElement('input')
      Object.assign(hidden, { type: 'hidden', name: field, value })
      hidden.dataset.uiCopied = ''
      form.append(hidden)
    }
    for (const box of ids) if (box.form !== form) give('rowid', box.value)
    give('action', bulk)
    if (this.everybody) give('all', '1')
    form.requestSubmit()
  }
}
customElements.define('table-select', TableSelect)
