// The list of the caller's exports. It asks every second while one is being
// made and this tab is seen, and rarely otherwise.

const busyPause = 1000, idlePause = 15000 // milliseconds
const pageSize = 50
const exports = new Map() // by id: { export, card }
let nextPage = null
let fresh = true // no page has come yet
let timer
let failures = 0
let looks = 0 // how often the list was asked for
const retryKeys = new Map() // by id: of a retry whose answer hasn't come

const processing = e => !e.done

// asked says in words what an export was asked for.
function asked({ filters, columns, format, fileName, maxRowsPerFile, destination }) {
  const words = Object.entries(filters).map(([name, values]) => `${name}: ${values.join(', ')}`)
  if (columns) words.push(`columns ${columns.join(', ')}`)
  if (!sameFormat(format, programs)) words.push(format.compression === 'none' ? 'not packed' : 'own format')
  if (fileName) words.push(fileName)
  if (maxRowsPerFile) words.push(`files of ${rows(maxRowsPerFile)}`)
  if (destination) words.push(`to ${destination.name}`)
  return words.join(' · ') || 'all rows'
}

function facts(e) {
  const p = e.progress
  if (processing(e)) {
    if (e.phase === 'queued') return e.queuePosition ? `Waits for a worker, number ${e.queuePosition} in the queue.` : 'Waits for a worker.'
    if (e.phase === 'finalizing') return `${rows(p.processedRows)}. The file is being finished.`
    const words = [p.totalRows === null ? rows(p.processedRows) : `${whole.format(p.processedRows)} of ${rows(p.totalRows)}`]
    if (p.rowsPerSecond) words.push(`${whole.format(p.rowsPerSecond)} a second`)
    if (p.secondsLeft !== null) words.push(`${duration(p.secondsLeft)} left`)
    if (e.attempts > 1) words.push(`attempt ${e.attempts}`)
    return words.join(' · ')
  }
  if (!e.file) return ''
  const size = e.files?.bytes ?? e.file.bytes
  const words = [rows(p.processedRows), bytes(size) + (size === e.file.uncompressedBytes ? '' : ` (${bytes(e.file.uncompressedBytes)} of CSV)`)]
  if (e.files) words.unshift(`${e.files.count} ${e.files.count === 1 ? 'file' : 'files'}`)
  if (e.startedAt) words.push(`made in ${duration((new Date(e.completedAt) - new Date(e.startedAt)) / 1000)}`)
  if (e.status === 'completed' && !e.expiresAt) words.push(e.file.location)
  else if (e.status === 'completed') words.push(`stays for ${duration(Math.max(0, (new Date(e.expiresAt) - Date.now()) / 1000))}`)
  return words.join(' · ')
}

function newCard(e) {
  const card = $('card').content.firstElementChild.cloneNode(true)
  card.dataset.id = e.exportId
  const title = card.querySelector('h3')
  title.id = 'title-' + e.exportId
  title.textContent = `${e.dataset}, ${new Date(e.createdAt).toLocaleString()}`
  title.title = e.exportId
  card.querySelector('.asked').textContent = asked(e.request)
  card.querySelector('progress').setAttribute('aria-labelledby', title.id)
  for (const button of card.querySelectorAll('button')) {
    button.id = `${button.dataset.do}-${e.exportId}`
    button.setAttribute('aria-describedby', title.id)
  }
  return card
}

// show brings an export's card up to date, or makes one in its place.
function show(e) {
  const known = exports.get(e.exportId)
  if (known?.export.done && !e.done) return // an answer that was overtaken
  const card = known?.card ?? newCard(e)
  if (known && processing(known.export) && e.queuePosition === null && e.phase === 'queued') e.queuePosition = known.export.queuePosition
  exports.set(e.exportId, { export: e, card })
  if (!known) {
    const older = [...$('list').children].find(c => exports.get(c.dataset.id).export.createdAt < e.createdAt)
    older ? older.before(card) : $('list').append(card)
  } else if (processing(known.export) && e.done) {
    announce(`The export of ${e.dataset} is ${e.status}.`)
  }
  const badge = card.querySelector('.badge')
  badge.textContent = e.phase && e.phase !== 'running' ? e.phase : e.status
  badge.className = 'badge ' + e.status
  card.querySelector('.facts').textContent = facts(e)
  const bar = card.querySelector('progress')
  card.querySelector('.moving').hidden = !processing(e)
  if (e.progress.totalRows === null) bar.removeAttribute('value')
  else bar.value = e.progress.percentage
  card.querySelector('.percent').textContent = e.progress.totalRows === null ? '' : `${e.progress.percentage} %`
  if (e.status !== 'completed') card.querySelector('.files').hidden = true
  if (e.status !== known?.export.status) { // not each time: that would be read out, and unselect what is selected
    const why = card.querySelector('.why')
    if (e.status === 'failed') explain(why, { message: e.error, code: e.errorCode })
    else why.hidden = true
  }
  showActions(card, e)
}

function showActions(card, e) {
  const possible = {
    download: e.status === 'completed', curl: e.status === 'completed', delete: e.status === 'completed',
    cancel: processing(e), retry: ['failed', 'cancelled'].includes(e.status), reuse: true,
  }
  for (const button of card.querySelectorAll('button')) {
    const had = button === document.activeElement
    button.hidden = !possible[button.dataset.do]
    if (had && button.hidden) card.querySelector('h3').focus() // or the keyboard would be lost
  }
}

// showNew is for an export that was just asked for.
function showNew(e) {
  if ($('status-filter').value) { $('status-filter').value = ''; restart() }
  show(e)
  countExports()
  exports.get(e.exportId).card.scrollIntoView({ block: 'nearest' })
  announce(`The export of ${e.dataset} is on its way.`)
  refreshIn(300)
}

function countExports() { $('none').hidden = exports.size > 0 }

function forget() {
  exports.clear()
  $('list').replaceChildren()
  nextPage = null
  fresh = true
  $('more').hidden = true
}

const query = more => '/exports?' + new URLSearchParams({ pageSize, ...($('status-filter').value && { status: $('status-filter').value }), ...more })

// refresh reads the newest page anew, and of older ones what is being made.
async function refresh() {
  clearTimeout(timer)
  const shown = $('status-filter').value
  try {
    const page = await call('GET', query())
    if (shown !== $('status-filter').value) return
    if (fresh) nextPage = page.nextPageToken
    fresh = false
    const seen = new Set(page.exports.map(e => e.exportId))
    page.exports.forEach(show)
    for (const e of alsoAsked(seen)) show(await call('GET', `/exports/${e.exportId}/status`))
    $('more').hidden = nextPage === null
    failures = 0
    $('banner').hidden = true
  } catch (failure) {
    if (failure.status === 401) return
    failures++
    const wait = Math.max(failure.retryAfter ?? 0, Math.min(2 ** failures, 30))
    warn(`${failure.message} The list is asked for again in ${duration(wait)}.`)
    refreshIn(wait * 1000)
    return
  }
  countExports()
  refreshIn([...exports.values()].some(o => processing(o.export)) ? busyPause : idlePause)
}

// alsoAsked are those that are asked for by themselves: what is being made but
// not on the newest page, and every fifth time what waits, for its place in the
// queue. They take turns, three at a time: all callers share the service.
function alsoAsked(seen) {
  looks++
  const some = [...exports.values()].map(o => o.export).filter(e => processing(e) && (!seen.has(e.exportId) || e.phase === 'queued' && looks % 5 === 1))
  const first = some.length > 3 ? looks * 3 % some.length : 0
  return [...some.slice(first), ...some.slice(0, first)].slice(0, 3)
}

function refreshIn(milliseconds) {
  clearTimeout(timer)
  timer = setTimeout(() => document.hidden ? refreshIn(busyPause) : refresh(), milliseconds)
}

function restart() { forget(); return refresh() }

async function showMore(button) {
  if (!busy(button)) return
  const shown = $('status-filter').value
  try {
    const page = await call('GET', query({ pageToken: nextPage }))
    if (shown !== $('status-filter').value) return
    nextPage = page.nextPageToken
    page.exports.forEach(show)
    announce(`${exports.size} exports are shown.`)
    button.hidden = nextPage === null
  } catch (failure) {
    if (failure.status === 401) return
    warn(inWords(failure))
  } finally {
    ready(button)
  }
}

function confirmed(title, text, yes) {
  const dialog = $('confirm')
  $('confirm-title').textContent = title
  $('confirm-text').textContent = text
  $('confirm-yes').textContent = yes
  dialog.returnValue = ''
  dialog.showModal()
  return new Promise(resolve => { dialog.onclose = () => resolve(dialog.returnValue === 'yes') })
}

// showFiles shows a link to each file of a split export; they are good for as
// long as their URLs, and Download makes new ones.
function showFiles(list, manifest) {
  const link = (href, name, more) => element('li', {}, element('a', { href, download: name, rel: 'noreferrer', textContent: name }), ` ${more}`)
  list.replaceChildren(...manifest.files.map(f => link(f.url, f.fileName, `${rows(f.rows)}, ${bytes(f.bytes)}`)), link(manifest.url, manifest.fileName, 'the list of them'))
  list.hidden = false
  list.querySelector('a').focus()
  clearTimeout(list.timer)
  list.timer = setTimeout(() => { list.hidden = true }, Math.max(new Date(manifest.expiresAt) - Date.now(), 60000)) // this clock may be fast
}

// What the buttons of an export do. What returns true changed it.
const actions = {
  async download(e, button) {
    const file = await call('GET', `/exports/${e.exportId}/download`)
    if (file.files) return showFiles(button.closest('.card').querySelector('.files'), file)
    const link = element('a', { href: file.url, download: file.fileName, rel: 'noreferrer' })
    link.click() // the file's own header says that it is to be saved
  },
  async cancel(e) {
    await call('DELETE', `/exports/${e.exportId}`)
    return true
  },
  async retry(e) {
    const key = retryKeys.get(e.exportId) ?? newKey()
    retryKeys.set(e.exportId, key) // so that a lost answer and another click are one export
    showNew(await call('POST', `/exports/${e.exportId}/retry`, { key }))
    retryKeys.delete(e.exportId)
  },
  async delete(e) {
    const yes = await confirmed('Delete the file?', `${e.file.name}, ${rows(e.progress.processedRows)}. What is deleted can’t be had back, but exported anew.`, 'Delete it')
    if (yes) await call('DELETE', `/exports/${e.exportId}`)
    return yes
  },
  async curl(e, button) {
    if (!e.files) return copy(button, curl(['-fL', '-C -', '-o ' + shell(e.file.name)], `/exports/${e.exportId}/download`))
    const name = e.file.name.replace(/\.manifest\.json$/, '-#1') + (e.request.format.compression === 'gzip' ? '.csv.gz' : '.csv')
    return copy(button, curl(['-fL', '-o ' + shell(name)], `/exports/${e.exportId}/download?file=[00001-${String(e.files.count).padStart(5, '0')}]`))
  },
  async reuse(e) {
    if (writeRequest(e.dataset, e.request)) $('dataset').focus()
    else throw new Failure(0, { code: 'dataset_changed', detail: `The dataset ${e.dataset}, or the destination, isn’t there for you any more.` })
  },
}

async function act(button) {
  const { export: e, card } = exports.get(button.closest('.card').dataset.id)
  const problem = card.querySelector('.answered')
  if (!busy(button)) return
  try {
    const changed = await actions[button.dataset.do](e, button)
    problem.hidden = true
    if (changed) show(await call('GET', `/exports/${e.exportId}/status`))
  } catch (failure) {
    if (failure.status !== 401) explain(problem, failure)
  } finally {
    ready(button)
  }
}

function buildList() {
  $('list').addEventListener('click', event => {
    const button = event.target.closest('button')
    if (button) act(button)
  })
  $('more').onclick = event => showMore(event.target)
  $('status-filter').onchange = restart
  document.addEventListener('visibilitychange', () => { if (!document.hidden && !$('exports').hidden) refresh() })
}
