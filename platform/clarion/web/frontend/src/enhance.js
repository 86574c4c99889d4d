// Progressive enhancement of plain markup. Safe to call again after every swap.
import { Tooltip } from '@tabler/core/js/src/bootstrap'

const RICH = 'select.my_select2:not(.tomselected), select[data-enhance=select]:not(.tomselected)'

export function enhance(root) {
  root.querySelectorAll('[data-tip]:not([data-ui-tip])').forEach((el) => {
    el.dataset.uiTip = ''
    new Tooltip(el, { title: el.dataset.tip, trigger: 'hover focus' })
  })
  root.querySelectorAll('[data-counter][maxlength]:not([data-ui-counted])').forEach(counter)
  const rich = root.querySelectorAll(RICH)
  if (rich.length) import('tom-select/popular').then(({ default: TomSelect }) => rich.forEach((el) => richSelect(TomSelect, el)))
}

// <textarea maxlength="1024" data-counter="id"> keeps "120/1024" in the element with that id.
function counter(field) {
  field.dataset.uiCounted = ''
  const show = () => {
    const place = document.getElementById(field.dataset.counter)
    if (place) place.textContent = `${field.value.length}/${field.maxLength}`
  }
  field.addEventListener('input', show)
  show()
}

function richSelect(TomSelect, el) {
  if (el.classList.contains('tomselected')) return
  // Tom Select points label[for] at its own input; the hidden select needs a name of its own.
  const label = el.labels?.[0]
  if (label && !el.hasAttribute('aria-label')) el.setAttribute('aria-label', label.textContent.trim())
  if (!el.multiple) el.classList.replace('form-control', 'form-select')
  new TomSelect(el, {
    plugins: el.multiple ? ['remove_button'] : [],
    allowEmptyOption: true,
    closeAfterSelect: !el.multiple,
    maxOptions: 500,
    copyClassesToDropdown: false,
    controlInput: el.options.length > 8 || el.multiple ? '<input>' : null,
  })
}
