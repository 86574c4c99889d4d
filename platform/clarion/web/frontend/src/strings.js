// Words shown to people come from the page (<script type="application/json" id="ui-strings">), so that
// they are translated with everything else. `t('removeFilter', { name: 'City' })` fills {name}.
const block = document.getElementById('ui-strings')
const words = block ? JSON.parse(block.textContent) : {}

export function t(key, fields = {}) {
  const text = words[key] ?? key
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(fields[name] ?? whole))
}

// One polite sentence for screen readers.
export function say(text) {
  const status = document.getElementById('sr-status')
  if (status) status.textContent = text
}
