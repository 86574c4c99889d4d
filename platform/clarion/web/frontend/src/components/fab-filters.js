// Replacement for FAB's ab_filters.js (jQuery + select2 + missing datetimepicker). Data comes in a JSON block; output names stay FAB's _flt_<op>_<col>.
import { enhance } from '../enhance.js'
import { t } from '../strings.js'
class FabFilters extends HTMLElement {
  connectedCallback() {
    if (this.on) return
    this.on = true
    this.cfg = JSON.parse(this.querySelector('script[type="application/json"]').textContent)
    this.rows = this.querySelector('[data-rows]')
    this.addEventListener('click', (e) => {
      const a = e.target.closest('[data-add]')
      if (a) {
        this.add(a.dataset.add)
        this.form()
      }
      const r = e.target.closest('[data-remove]')
      if (r) {
        r.closest('.flt-row').remove()
        this.form()
      }
    })
    for (const [col, op, val] of this.cfg.active) (Array.isArray(val) ? val : [val]).forEach((v) => this.add(col, op, v))
    this.form()
  }
  form() {
    this.querySelector('[data-apply]').hidden = !this.rows.children.length && !this.cfg.active.length
  }
  add(col, op = null, val = null) {
    const row = document.createElement('div')
    row.className = 'flt-row'
    const lab = document.createElement('span')
    lab.className = 'flt-label'
    lab.textContent = this.cfg.labels[col]
    const sel = document.createElement('select')
    sel.className = 'form-select form-select-sm'
    sel.setAttribute('aria-label', t('filterCondition', { name: this.cfg.labels[col] }))
    this.cfg.ops[col].forEach((o, i) => {
      const x = new Option(o, i, false, o === op)
      sel.add(x)
    })
    const tpl = document.createElement('template')
    tpl.innerHTML = this.cfg.fields[col].trim()
    const inner = tpl.content.querySelector('input,select,textarea')
    inner.removeAttribute('id')
    inner.removeAttribute('required')
    inner.setAttribute('aria-label', t('filterValue', { name: this.cfg.labels[col] }))
    inner.classList.remove('my_select2', 'form-control')
    inner.classList.add(
      inner.tagName === 'SELECT' ? 'form-select' : inner.type === 'checkbox' ? 'form-check-input' : 'form-control',
      inner.tagName === 'SELECT' ? 'form-select-sm' : 'form-control-sm',
    )
    if (inner.type !== 'checkbox') inner.value = val ?? ''
    else inner.checked = true
    const name = () => {
      inner.name = `_flt_${sel.value}_${col}`
    }
    sel.addEventListener('change', name)
    name()
    const x = document.createElement('button')
    x.type = 'button'
    x.className = 'btn-close'
    x.dataset.remove = ''
    x.setAttribute('aria-label', t('removeFilter', { name: this.cfg.labels[col] }))
    row.append(lab, sel, inner, x)
    this.rows.append(row)
    if (val === null) inner.focus()
    enhance(row)
  }
}
customElements.define('fab-filters', FabFilters)
