// The whole build: one file, one tool (esbuild). `node build.mjs` or `node build.mjs --watch`.
// Output: hashed files, .br/.gz siblings, manifest.json (logical name -> file) and the licence texts of what was bundled.
import { build } from 'esbuild'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from 'node:fs'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const OUT = process.env.UI_OUT || '../static/dist'
rmSync(OUT, { recursive: true, force: true })
mkdirSync(OUT, { recursive: true })
const common = { outdir: OUT, bundle: true, minify: true, metafile: true, entryNames: '[name]-[hash]', logLevel: 'warning' }

const main = await build({
  ...common,
  entryPoints: {
    app: 'src/app.js',
    consent: 'src/consent.js',
    'app-css': 'src/css/app.css',
    'app-rtl-css': 'src/css/app.rtl.css',
    'public-css': 'src/css/public.css',
    'consent-css': 'src/css/consent.css',
  },
  splitting: true,
  format: 'esm',
  target: 'es2022',
  chunkNames: 'c-[name]-[hash]',
  assetNames: '[name]-[hash]',
  legalComments: 'none', // all notices are collected in licences.txt below
})
// Classic script, loaded blocking in <head>: sets the theme before the first paint.
const init = await build({ ...common, entryPoints: { 'theme-init': 'src/theme-init.js' }, format: 'iife', target: 'es2018' })

const manifest = {}
const bundled = new Set(['@tabler/icons'])
for (const { outputs, inputs } of [main.metafile, init.metafile]) {
  for (const [path, o] of Object.entries(outputs)) {
    if (!o.entryPoint) continue
    const file = path.split('/').pop()
    manifest[file.replace(/-[A-Z0-9]{8}\./, '.').replace('-css.css', '.css')] = file
  }
  for (const path of Object.keys(inputs)) {
    const m = path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//)
    if (m) bundled.add(m[1])
  }
}

function put(name, ext, text) {
  const file = `${name}-${createHash('sha256').update(text).digest('hex').slice(0, 8).toUpperCase()}.${ext}`
  writeFileSync(`${OUT}/${file}`, text)
  manifest[`${name}.${ext}`] = file
}

// Icon sprite: only the icons named in icons.txt, plus our own marks.
const inner = (svg) =>
  svg
    .replace(/<!--[\s\S]*?-->/g, '')
    .match(/<svg[^>]*>([\s\S]*?)<\/svg>/)[1]
    .replace(/\s*\n\s*/g, '')
const LINE = 'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'
const symbol = (id, paint, body) => `<symbol id="${id}" viewBox="0 0 24 24" ${paint}>${body}</symbol>`
const symbols = readFileSync('src/icons.txt', 'utf8')
  .split(/\s+/)
  .filter(Boolean)
  .map((id) => {
    const [name, kind = 'outline'] = id.split(':')
    const path = `node_modules/@tabler/icons/icons/${kind}/${name}.svg`
    if (!existsSync(path)) throw new Error('no such icon: ' + id)
    const filled = kind === 'filled'
    return symbol(filled ? `${name}-filled` : name, filled ? 'fill="currentColor"' : LINE, inner(readFileSync(path, 'utf8')))
  })
const mark = (name) => inner(readFileSync(`src/marks/${name}.svg`, 'utf8'))
symbols.push(symbol('mark', LINE, mark('clarion')), symbol('mark-console', LINE, mark('console')))
put('icons', 'svg', `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join('')}</svg>`)
for (const [file, name] of [
  ['favicon', 'clarion'],
  ['favicon-console', 'console'],
]) {
  put(
    file,
    'svg',
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 36"><rect width="36" height="36" rx="9" fill="#0b6e4f"/><g transform="translate(6 6)" fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${mark(name)}</g></svg>`,
  )
}

// Licence notices of everything that ends up in the output.
const notices = [...bundled].sort().map((name) => {
  const dir = `node_modules/${name}`
  const pkg = JSON.parse(readFileSync(`${dir}/package.json`, 'utf8'))
  const file = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f))
  const text = file
    ? readFileSync(`${dir}/${file}`, 'utf8').trim()
    : readFileSync(`licences/${name.replace(/[@/]/g, '_')}.txt`, 'utf8').trim()
  return `${name} ${pkg.version} (${pkg.license})\n\n${text}\n`
})
put('licences', 'txt', notices.join('\n' + '-'.repeat(80) + '\n\n'))

writeFileSync(`${OUT}/manifest.json`, JSON.stringify(manifest, null, 1) + '\n')
for (const f of readdirSync(OUT)) {
  if (!/\.(js|css|svg|txt)$/.test(f)) continue
  const raw = readFileSync(`${OUT}/${f}`)
  writeFileSync(`${OUT}/${f}.gz`, gzipSync(raw, { level: 9 }))
  writeFileSync(`${OUT}/${f}.br`, brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }))
}
// What every visitor pays, in KB of brotli. A build over budget fails: drop something or argue for more.
const BUDGETS = {
  'app.js': 45,
  'app.css': 65,
  'app-rtl.css': 65,
  'theme-init.js': 1,
  'icons.svg': 8,
  'consent.js': 10,
  'consent.css': 5,
  'public.css': 4,
  'c-chart-lib': 60,
  'c-tom-select.popular': 16,
}
const chunk = (name) => readdirSync(OUT).find((f) => f.startsWith(`${name}-`) && f.endsWith('.js'))
const over = Object.entries(BUDGETS).flatMap(([name, budget]) => {
  const file = manifest[name] || chunk(name)
  if (!file) return [`${name}: not built`]
  const kb = statSync(`${OUT}/${file}.br`).size / 1024
  if (process.env.UI_SIZES) console.log(`${name} ${kb.toFixed(1)} of ${budget} KB`)
  return kb > budget ? [`${name}: ${kb.toFixed(1)} KB, budget ${budget} KB`] : []
})
if (over.length) {
  console.error('over budget\n' + over.join('\n'))
  process.exit(1)
}
console.log(`${Object.keys(manifest).length} entries`)

if (process.argv.includes('--watch')) {
  let timer
  watch('src', { recursive: true }, () => {
    clearTimeout(timer)
    timer = setTimeout(() => spawnSync(process.execPath, ['build.mjs'], { stdio: 'inherit' }), 120)
  })
}
