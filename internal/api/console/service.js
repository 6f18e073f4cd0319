// The service's routes, and its errors in words.

const $ = id => document.getElementById(id)

// The page is the root of the service, also below a stage or a base path.
const base = location.pathname.replace(/\/+$/, '')
$('contract').href = base + '/openapi.yaml'

// The token stays in this tab: it survives a reload and nothing else.
const session = {
  get token() { return sessionStorage.getItem('token') ?? '' },
  set token(value) { value ? sessionStorage.setItem('token', value) : sessionStorage.removeItem('token') },
}

// What a problem's code, or a failed export's, asks people to do.
const advice = {
  invalid_request: 'Change what is marked, and send it again.',
  unauthenticated: 'Sign in with a new token.',
  forbidden: 'Ask whoever gives out your tokens for the right to it.',
  not_found: 'It may have been removed: records stay for 30 days after their file.',
  export_not_ready: 'It is still being made. Wait for it to end.',
  export_failed: 'There will be no file. Try it again, or ask for a new export.',
  export_not_retryable: 'It was completed. Use it as a template for another one.',
  idempotency_in_progress: 'The same request is at work already. Look at the list in a moment.',
  gone: 'Use it as a template for a new export.',
  payload_too_large: 'Give fewer values.',
  unsupported_media_type: 'Reload this page; it may be older than the service.',
  idempotency_mismatch: 'Send the request again.',
  too_many_exports: 'Wait until some of your exports have ended, or a minute, and send it again.',
  too_many_requests: 'Wait a moment, and send it again.',
  internal: 'Try it again. If it stays so, tell the request id to whoever runs this service.',
  unavailable: 'Try it again in a moment.',
  unreachable: 'Look at your connection, and try it again.',
  dataset_changed: 'Use it as a template for a new export: the dataset is another one now.',
  source_rejected: 'Tell whoever runs this service: the database refuses this query.',
  storage_rejected: 'Tell whoever runs this service: the storage refuses the file.',
  file_too_large: 'Choose fewer rows or columns.',
  time_limit: 'Choose fewer rows, or filter by a column that has an index.',
  row_limit: 'Choose fewer rows: this dataset bounds them.',
  byte_limit: 'Choose fewer rows or columns: this dataset bounds the size of a file.',
  age_limit: 'Choose fewer rows: this dataset bounds how long they may be read.',
  file_limit: 'Ask for more rows in each file.',
  attempts_exhausted: 'Try it again later. If it fails again, tell whoever runs this service.',
}

function element(tag, properties = {}, ...children) {
  const e = Object.assign(document.createElement(tag), properties)
  e.append(...children)
  return e
}

// Failure is what a call throws: a problem document, or none if nobody answered.
class Failure extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail)
    Object.assign(this, { status, code: problem.code, fields: problem.errors ?? [], requestId: problem.requestId, retryAfter })
  }
}

// answerTime is more than API Gateway takes for any answer, in milliseconds.
const answerTime = 35000

// call sends a request and returns the answer's JSON; null for none. An answer
// that breaks off is none. One that comes when somebody else is before the page
// is a 401, which nobody shows.
async function call(method, path, { body, key } = {}) {
  const token = session.token
  const headers = { Accept: 'application/json' }
  if (token) headers.Authorization = 'Bearer ' + token
  if (body) headers['Content-Type'] = 'application/json'
  if (key) headers['Idempotency-Key'] = key
  let answer, text
  try {
    answer = await fetch(base + path, {
      method, headers, body: body && JSON.stringify(body), credentials: 'omit', cache: 'no-store', signal: AbortSignal.timeout(answerTime),
    })
    text = await answer.text()
  } catch {
    answer = null
  }
  if (token !== session.token) throw new Failure(401, { code: 'unauthenticated', detail: '' })
  let json
  try { json = JSON.parse(text) } catch { /* a page of a proxy, or nothing */ }
  if (answer?.status === 204) return null
  if (!answer || answer.ok && !json) throw new Failure(0, { code: 'unreachable', detail: 'The service can’t be reached.' })
  if (answer.ok) return json
  if (answer.status === 401) askToSignIn(session.token && 'The service doesn’t accept this token: it is wrong, or its time is over.')
  throw new Failure(answer.status, {
    code: answer.status >= 500 ? 'unavailable' : 'invalid_request', detail: `The service answered ${answer.status}.`, ...json,
  }, Number(answer.headers.get('Retry-After')) || 0)
}

// newKey is an Idempotency-Key. randomUUID is there on https and loopback only.
const newKey = () => crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), b => b.toString(16).padStart(2, '0')).join('')

// explain fills a place for problems with what went wrong and what to do.
function explain(place, failure, more = []) {
  let todo = advice[failure.code] ?? ''
  if (failure.requestId && failure.status >= 500) todo += ` Request id: ${failure.requestId}.`
  place.replaceChildren(...[
    element('p', { textContent: failure.message }),
    more.length && element('ul', {}, ...more.map(({ field, message }) => element('li', { textContent: `${field} ${message}` }))),
    todo && element('p', { textContent: todo }),
  ].filter(Boolean))
  place.hidden = false
}

// warn says above everything what isn't right with the page as a whole.
function warn(text) {
  $('banner').textContent = text
  $('banner').hidden = false
}

const inWords = failure => `${failure.message} ${advice[failure.code] ?? ''}`

// announce tells a screen reader what happened elsewhere on the page.
function announce(text) { $('announcement').textContent = text }

// whole, bytes and duration write quantities for people.
const whole = new Intl.NumberFormat('en')
const bytes = n => n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(2)} GB`
const rows = n => `${whole.format(n)} ${n === 1 ? 'row' : 'rows'}`
function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1).replace('.0', '')} s`
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86400)} days`
}

// busy reports whether a button may do its work, and keeps it from doing it
// twice until ready. It isn't disabled: that would take the keyboard from it.
function busy(button) {
  if (button.ariaDisabled === 'true') return false
  button.ariaDisabled = 'true'
  return true
}

function ready(button) { button.ariaDisabled = null }

// copy puts text on the clipboard, and says so on the button that asked.
async function copy(button, text) {
  const label = button.dataset.label ??= button.textContent
  try {
    await navigator.clipboard.writeText(text)
    button.textContent = 'Copied'
    announce('Copied.')
  } catch { // the browser forbids it: show it where it can be copied by hand
    prompt('Copy this:', text)
  }
  setTimeout(() => { button.textContent = label }, 2000)
}

// shell quotes text for a POSIX shell.
const shell = text => `'${text.replaceAll("'", `'\\''`)}'`

// curl is a command for a request of this page; the token is a variable, since
// commands end up in histories and chats.
function curl(options, path, body) {
  const parts = ['curl', ...options]
  if (session.token) parts.push('-H "Authorization: Bearer $CSVEXPORT_TOKEN"')
  if (body) parts.push("-H 'Content-Type: application/json'", '-d ' + shell(JSON.stringify(body)))
  return [...parts, shell(location.origin + base + path)].join(' ')
}
