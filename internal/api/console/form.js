// The form for a new export: its fields are made of what /datasets tells.

const form = $('new')
let datasets = []
let destinations = []
let dataset // the chosen one
let filterFields = [] // { filter, inputs, read() }

// field is a label, an input and a place for what is wrong with it.
function field(id, label, input, hint) {
  input.id = id
  const problem = element('p', { className: 'field-problem', id: 'problem-' + id, hidden: true })
  const parts = [element('label', { htmlFor: id, textContent: label })]
  let described = problem.id
  if (hint) {
    parts.push(element('p', { className: 'hint', id: 'hint-' + id, textContent: hint }))
    described = `hint-${id} ${described}`
  }
  input.setAttribute('aria-describedby', described)
  return element('div', { className: 'field' }, ...parts, input, problem)
}

const select = options => element('select', {}, ...options.map(([value, text]) => element('option', { value, textContent: text })))

const operatorWords = {
  equals: 'is', in: 'is one of', min: 'is at least', max: 'is at most', from: 'is from', to: 'is until', prefix: 'begins with', is_null: 'is empty',
}

// filterField makes the input of one filter; its read returns undefined for nothing given.
function filterField(filter) {
  const id = 'filter-' + filter.name
  const label = `${filter.column} ${operatorWords[filter.operator] ?? filter.operator}`
  if (filter.operator === 'is_null' || filter.type === 'boolean') {
    const input = select([['', 'either'], ['true', 'yes'], ['false', 'no']])
    return { filter, inputs: [input], element: field(id, label, input), read: () => input.value === '' ? undefined : input.value === 'true' }
  }
  if (filter.list) {
    const input = element('textarea', { rows: 1, spellcheck: false })
    const read = () => {
      const values = input.value.split('\n').map(v => v.trim()).filter(Boolean)
      return values.length ? values : undefined
    }
    const place = field(id, label, input, `${filter.hint ? filter.hint + '; o' : 'O'}ne on each line`)
    place.classList.add('wide')
    return { filter, inputs: [input], element: place, read }
  }
  if (filter.type === 'timestamp') return timeField(filter, id, label)
  const input = element('input', { type: filter.type === 'date' ? 'date' : 'text', autocomplete: 'off', spellcheck: false })
  if (filter.type === 'integer') input.inputMode = 'numeric'
  if (filter.type === 'decimal') input.inputMode = 'decimal'
  if (filter.maxLength) input.maxLength = filter.maxLength
  const given = filter.operator === 'prefix' ? () => input.value : () => input.value.trim()
  return { filter, inputs: [input], element: field(id, label, input, filter.hint ?? ''), read: () => halfTyped(input) ?? (given() || undefined) }
}

// halfTyped is a value that the service refuses, for a date that isn't whole:
// the browser gives it as nothing, which would mean all rows.
const halfTyped = input => input.validity.badInput ? 'half a date' : undefined

// timeField is a date and, if wanted, a time of it, in UTC.
function timeField(filter, id, label) {
  const date = element('input', { type: 'date', id, max: '9999-12-31' })
  const time = element('input', { id: id + '-time', placeholder: '18:30:00', autocomplete: 'off', spellcheck: false })
  const problem = element('p', { className: 'field-problem', id: 'problem-' + id, hidden: true })
  date.setAttribute('aria-describedby', problem.id)
  const group = element('fieldset', { className: 'field wide' },
    element('legend', { textContent: label }),
    element('div', { className: 'pair' },
      element('div', {}, element('label', { htmlFor: date.id, textContent: 'Date' }), date),
      element('div', {}, element('label', { htmlFor: time.id, textContent: 'Time in UTC, if any' }), time)),
    problem)
  const read = () => {
    const at = time.value.trim()
    if (date.validity.badInput || !at) return halfTyped(date) ?? (date.value || undefined)
    return `${date.value}T${/^\d\d:\d\d$/.test(at) ? at + ':00' : at}Z` // the service says what is wrong with it
  }
  return { filter, inputs: [date, time], element: group, read }
}

// What the format's fields are, and what they are for each preset.
const formatFields = [
  ['compression', 'Packing', () => select([['gzip', 'gzip'], ['none', 'none']])],
  ['delimiter', 'Between values', () => select([[',', 'comma'], [';', 'semicolon'], ['\t', 'tab'], ['|', 'vertical bar']])],
  ['quote', 'Quote', () => select([['"', 'double (")'], ["'", "single (')"]])],
  ['lineEnding', 'End of a row', () => select([['lf', 'LF'], ['crlf', 'CRLF']])],
  ['null', 'How NULL is written', () => element('input', { maxLength: 20, autocomplete: 'off', spellcheck: false }), 'Empty: nothing between two delimiters'],
  ['header', 'Names of the columns first', () => select([['true', 'yes'], ['false', 'no']])],
  ['bom', 'Byte order mark', () => select([['false', 'no'], ['true', 'yes, by which Excel knows UTF-8']])],
  ['formulaGuard', 'Formula guard', () => select([['false', 'no'], ['true', 'yes: an apostrophe before texts like =1+1']])],
]
const programs = { delimiter: ',', quote: '"', null: '', header: true, bom: false, lineEnding: 'lf', formulaGuard: false, compression: 'gzip' }
const presets = { program: programs, spreadsheet: { ...programs, bom: true, lineEnding: 'crlf', formulaGuard: true, compression: 'none' } }
const formatInputs = {}

function buildFormat() {
  const all = formatFields.map(([name, label, make, hint]) => field('format-' + name, label, formatInputs[name] = make(), hint))
  const name = element('input', { autocomplete: 'off', spellcheck: false, maxLength: 120 })
  const most = element('input', { autocomplete: 'off', spellcheck: false, inputMode: 'numeric', maxLength: 10 })
  $('format').replaceChildren(...all, field('fileName', 'Name of the file', name, 'Empty: made of the dataset and the time'),
    field('maxRowsPerFile', 'Rows in a file, at most', most, 'Empty: one file. A spreadsheet holds 1,048,575 behind a header'))
  writeFormat(programs)
}

// buildDestination shows the buckets that the file may go to, if there are any.
function buildDestination() {
  const name = select([['', 'Kept here for a while'], ...destinations.map(d => [d.name, d.description ? `${d.name}: ${d.description}` : d.name])])
  const prefix = element('input', { autocomplete: 'off', spellcheck: false, maxLength: 256 })
  $('destination').replaceChildren(field('destination-name', 'Destination', name),
    field('destination-prefix', 'Prefix', prefix, 'What the name begins with in the destination’s bucket, such as 2026/11/; may be empty'))
  $('destination-group').hidden = destinations.length === 0
  showDestination()
}

const showDestination = () => { $('destination-prefix').parentElement.hidden = $('destination-name').value === '' }

function readFormat() {
  return Object.fromEntries(formatFields.map(([name]) => {
    const value = formatInputs[name].value
    return [name, typeof programs[name] === 'boolean' ? value === 'true' : value]
  }))
}

// writeFormat shows a format; a character that the select doesn't know becomes one of its choices.
function writeFormat(format) {
  for (const [name] of formatFields) {
    const input = formatInputs[name], value = String(format[name])
    if (input.options && ![...input.options].some(o => o.value === value)) input.append(element('option', { value, textContent: value }))
    input.value = value
  }
  showFormat()
}

const sameFormat = (a, b) => formatFields.every(([name]) => a[name] === b[name])

function showFormat() {
  const format = readFormat()
  $('preset').value = Object.keys(presets).find(p => sameFormat(presets[p], format)) ?? 'own'
  const name = $('fileName').value.trim(), most = $('maxRowsPerFile').value.trim()
  $('format-summary').textContent = [format.compression === 'gzip' ? 'CSV, packed with gzip' : 'CSV, not packed', name, most && `${most} rows in each`].filter(Boolean).join(', ')
}

// The columns are a list to choose from and to put into an order.
function buildColumns(chosen) {
  const named = new Map(dataset.columns.map(c => [c.name, c]))
  const first = (chosen ?? []).filter(name => named.has(name))
  const rest = dataset.columns.map(c => c.name).filter(name => !first.includes(name))
  $('columns').replaceChildren(...[...first, ...rest].map(name => columnItem(named.get(name), !chosen || first.includes(name))))
  showColumns()
}

function columnItem(column, checked) {
  const box = element('input', { type: 'checkbox', value: column.name, checked })
  const up = element('button', { type: 'button', textContent: '↑', title: 'Move up', ariaLabel: `Move ${column.name} up` })
  up.onclick = () => {
    const item = up.closest('li')
    item.previousElementSibling?.before(item)
    up.focus()
    announce(`${column.name} is now number ${[...$('columns').children].indexOf(item) + 1}.`)
    changed()
  }
  return element('li', {}, element('label', {}, box, column.name, ' ', element('small', { textContent: column.type ?? '' })), up)
}

const columnBoxes = () => [...$('columns').querySelectorAll('input')]
const readColumns = () => columnBoxes().filter(box => box.checked).map(box => box.value)

function showColumns() {
  const chosen = readColumns(), all = dataset.columns.length
  $('columns-summary').textContent = isDefaultOrder(chosen) ? `all ${all}` : `${chosen.length} of ${all}: ${chosen.join(', ') || 'none'}`
}

const isDefaultOrder = chosen => chosen.length === dataset.columns.length && chosen.every((name, i) => name === dataset.columns[i].name)

function chooseDataset(name) {
  dataset = datasets.find(d => d.name === name)
  $('dataset').value = name
  $('dataset-help').textContent = [dataset.description, ...limitWords(dataset.limits)].filter(Boolean).join(' ')
  filterFields = dataset.filters.map(filterField)
  $('filters').replaceChildren(...filterFields.map(f => f.element))
  $('filters-group').hidden = filterFields.length === 0
  buildColumns()
}

function limitWords({ rows: most, bytes: size, ageSeconds }) {
  return [most && `At most ${rows(most)}.`, size && `Files of at most ${bytes(size)}.`, ageSeconds && `At most ${duration(ageSeconds)} of reading.`]
}

// readRequest is the body of POST /exports/csv; what is usual is left out.
function readRequest() {
  const request = { dataset: dataset.name }
  const filters = Object.fromEntries(filterFields.map(f => [f.filter.name, f.read()]).filter(([, value]) => value !== undefined))
  if (Object.keys(filters).length) request.filters = filters
  const columns = readColumns()
  if (!isDefaultOrder(columns)) request.columns = columns
  const format = readFormat()
  if (!sameFormat(format, programs)) request.format = format
  const name = $('fileName').value.trim()
  if (name) request.fileName = name
  const most = $('maxRowsPerFile').value.trim()
  if (most) request.maxRowsPerFile = /^\d+$/.test(most) ? Number(most) : most // the service says what is wrong with it
  const to = $('destination-name').value, prefix = $('destination-prefix').value.trim()
  if (to) request.destination = { name: to, ...(prefix && { prefix }) }
  return request
}

// keptRequest is what is in the form, in the words of an export's own request.
function keptRequest() {
  const request = readRequest()
  const filters = Object.entries(request.filters ?? {}).map(([name, value]) => [name, [value].flat().map(String)])
  return { ...request, filters: Object.fromEntries(filters), columns: request.columns ?? null, format: readFormat() }
}

// writeRequest fills the form with what an earlier export asked for, and tells
// what there is no place for any more.
function writeRequest(name, asked) {
  if (!datasets.some(d => d.name === name)) return false
  if (asked.destination && !destinations.some(d => d.name === asked.destination.name)) return false
  chooseDataset(name)
  clearProblems()
  const lost = [
    ...Object.keys(asked.filters).filter(n => !filterFields.some(f => f.filter.name === n)).map(n => ({ field: `The filter ${n}`, message: 'isn’t there any more.' })),
    ...(asked.columns ?? []).filter(n => !dataset.columns.some(c => c.name === n)).map(n => ({ field: `The column ${n}`, message: 'isn’t there any more.' })),
  ]
  if (lost.length) explain($('form-problem'), { message: 'Not all of it can be asked for again. Look at what is left before you export.' }, lost)
  for (const f of filterFields) {
    const values = asked.filters[f.filter.name]
    if (!values) continue
    if (f.inputs.length === 1) f.inputs[0].value = values.join('\n')
    else [f.inputs[0].value, f.inputs[1].value] = [values[0].slice(0, 10), values[0].slice(11, -1)]
  }
  if (asked.columns) buildColumns(asked.columns)
  $('fileName').value = asked.fileName ?? ''
  $('maxRowsPerFile').value = asked.maxRowsPerFile ?? ''
  $('destination-name').value = asked.destination?.name ?? ''
  $('destination-prefix').value = asked.destination?.prefix ?? ''
  writeFormat(asked.format)
  changed()
  return true
}

function clearProblems() {
  $('form-problem').hidden = true
  clearMarks()
}

function clearMarks() {
  for (const p of form.querySelectorAll('.field-problem')) p.hidden = true
  for (const i of form.querySelectorAll('[aria-invalid]')) i.removeAttribute('aria-invalid')
}

// markProblems puts each problem to its field, and returns those that have none.
function markProblems(fields) {
  return fields.filter(({ field: name, message }) => {
    const place = name.replace(/^filters\./, 'filter-').replace(/^format\./, 'format-').replace(/^destination\./, 'destination-')
    const problem = $('problem-' + place)
    if (!problem) return true
    problem.textContent = message
    problem.hidden = false
    $(place)?.setAttribute('aria-invalid', 'true')
    problem.closest('details')?.setAttribute('open', '')
    return false
  })
}

// The estimate follows the form, and finds mistakes before they are sent.
let estimating = 0
let pause
function changed() {
  showColumns()
  showFormat()
  showDestination()
  clearTimeout(pause)
  pause = setTimeout(estimate, 400)
}

async function estimate() {
  const mine = ++estimating
  const request = readRequest()
  let text = ''
  try {
    const answer = await call('POST', '/exports/estimate', { body: request })
    if (mine !== estimating) return
    clearMarks()
    text = `About ${rows(answer.estimatedRows)}.`
  } catch (failure) {
    if (mine !== estimating) return
    clearMarks()
    if (failure.code === 'invalid_request') {
      markProblems(failure.fields)
      text = 'Something in the form isn’t right yet.'
    } else if (failure.status !== 401) text = `No estimate now: ${failure.message}`
  }
  $('estimate').textContent = text
}

// One key for each request that is wanted: sending it again after a lost
// answer makes no second export.
let wanted = { text: '', key: '' }

async function create() {
  if (!busy($('create'))) return
  const request = readRequest()
  const text = JSON.stringify(request)
  if (wanted.text !== text) wanted = { text, key: newKey() }
  clearTimeout(pause)
  estimating++
  try {
    const made = await call('POST', '/exports/csv', { body: request, key: wanted.key })
    showNew(made)
    wanted = { text: '', key: '' }
    clearProblems()
    changed() // an estimate that was under way was for nothing
  } catch (failure) {
    clearProblems()
    if (failure.code === 'idempotency_mismatch') wanted = { text: '', key: '' }
    if (failure.status !== 401) {
      explain($('form-problem'), failure, markProblems(failure.fields))
      const first = form.querySelector('[aria-invalid]') ?? $('form-problem')
      first.focus()
    }
  } finally {
    ready($('create'))
  }
}

function buildForm() {
  buildFormat()
  buildDestination()
  form.addEventListener('submit', event => { event.preventDefault(); create() })
  form.addEventListener('change', event => {
    $('form-problem').hidden = true
    if (event.target.id === 'dataset') chooseDataset(event.target.value)
    if (event.target.id === 'preset' && presets[event.target.value]) writeFormat(presets[event.target.value])
    changed()
  })
  $('all-columns').onclick = () => { buildColumns(); changed() }
  $('no-columns').onclick = () => { for (const box of columnBoxes()) box.checked = false; changed() }
  $('copy-request').onclick = event => copy(event.target, curl([], '/exports/csv', readRequest()))
}
