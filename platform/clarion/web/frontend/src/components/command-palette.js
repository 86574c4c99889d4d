import { t } from '../strings.js'

// ⌘K / Ctrl+K. Entries: every [data-nav] of the page plus the JSON block #palette-items ([{t, h, k, g}]);
// "/" and "?" open it, "g c" jumps, data-hotkey="p" clicks. Never while somebody types.
class CommandPalette extends HTMLElement {
  connectedCallback() {
    if (this.on) return
    this.on = true
    this.dlg = this.querySelector('dialog')
    this.input = this.querySelector('input')
    this.list = this.querySelector('[role=listbox]')
    this.items = [...document.querySelectorAll('[data-nav]')].map((a) => ({
      t: a.dataset.nav,
      h: a.href,
      k: a.dataset.keys || '',
      g: t('goTo'),
    }))
    const extra = document.getElementById('palette-items')
    if (extra) this.items.push(...JSON.parse(extra.textContent))
    document.addEventListener('click', (e) => {
      if (e.target.closest('[data-palette]')) this.open()
    })
    let prev = ''
    document.addEventListener('keydown', (e) => {
      if ((e.metaKey || e.ctrlKey) && e.key.toLowerCase() === 'k') {
        e.preventDefault()
        this.open()
        return
      }
      if (e.target.closest('input,textarea,select,[contenteditable]') || e.metaKey || e.ctrlKey || e.altKey) return
      const hit = this.items.find((i) => i.k && i.k === `${prev} ${e.key}`)
      if (hit) {
        location.href = hit.h
        return
      }
      const hot = document.querySelector(`[data-hotkey="${CSS.escape(e.key)}"]`)
      if (hot && !prev) {
        e.preventDefault()
        hot.click()
      }
      if (e.key === '?' || e.key === '/') {
        e.preventDefault()
        this.open()
      }
      prev = e.key
      clearTimeout(this.pt)
      this.pt = setTimeout(() => {
        prev = ''
      }, 900)
    })
    this.input.addEventListener('input', () => this.render())
    this.input.addEventListener('keydown', (e) => {
      if (['ArrowDown', 'ArrowUp'].includes(e.key)) {
        e.preventDefault()
        this.move(e.key === 'ArrowDown' ? 1 : -1)
      } else if (e.key === 'Enter') {
        e.preventDefault()
        this.list.querySelector('[aria-selected=true]')?.click()
      }
    })
    this.dlg.addEventListener('click', (e) => {
      if (e.target === this.dlg) this.dlg.close()
    })
  }
  open(q = '') {
    this.input.value = q
    this.render()
    this.dlg.showModal()
    this.input.focus()
  }
  render() {
    const q = this.input.value.toLowerCase().trim()
    this.list.replaceChildren()
    let g = ''
    this.items
      .filter((i) => !q || i.t.toLowerCase().includes(q))
      .slice(0, 20)
      .forEach((i, n) => {
        if (i.g !== g) {
          g = i.g
          const h = document.createElement('div')
          h.className = 'palette-group'
          h.textContent = g
          h.setAttribute('role', 'presentation')
          this.list.append(h)
        }
        const a = document.createElement('a')
        a.href = i.h
        a.id = 'pal-' + n
        a.className = 'palette-item'
        a.setAttribute('role', 'option')
        a.setAttribute('aria-selected', n === 0)
        a.tabIndex = -1
        a.textContent = i.t
        if (i.k) {
          const k = document.createElement('kbd')
          k.textContent = i.k
          a.append(k)
        }
        this.list.append(a)
      })
    if (!this.list.children.length) {
      const none = document.createElement('div')
      none.className = 'palette-none'
      none.setAttribute('role', 'option')
      none.setAttribute('aria-disabled', 'true')
      none.textContent = t('nothingFound')
      this.list.append(none)
    }
    this.mark()
  }
  move(d) {
    const o = [...this.list.querySelectorAll('[role=option]')]
    if (!o.length) return
    const i = o.findIndex((x) => x.getAttribute('aria-selected') === 'true')
    o.forEach((x) => x.setAttribute('aria-selected', false))
    o[(i + d + o.length) % o.length].setAttribute('aria-selected', true)
    this.mark()
  }
  mark() {
    const s = this.list.querySelector('[aria-selected=true]')
    this.input.setAttribute('aria-activedescendant', s ? s.id : '')
    s?.scrollIntoView({ block: 'nearest' })
  }
}
customElements.define('command-palette', CommandPalette)
