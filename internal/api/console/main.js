// Begins the page: with the token that this tab has, or none; who must sign
// in is asked to.

// identityOf reads a token's own words. They are shown and nothing else: what
// counts is the service's check.
function identityOf(token) {
  try {
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0))))
    const name = claims.email ?? claims.preferred_username ?? claims.sub
    const until = claims.exp ? `, until ${new Date(claims.exp * 1000).toLocaleTimeString()}` : ''
    return { who: `${claims.iss} ${claims.sub}`, text: `Signed in as ${name}${until}` }
  } catch {
    return { who: token, text: token && 'Signed in by a token' }
  }
}

let beginning // the timer of another begin
let filled // what was in the form when a token ended, and whose it was

function askToSignIn(reason) {
  for (const t of [timer, beginning, pause]) clearTimeout(t)
  estimating++
  if (dataset) filled = { by: identityOf(session.token).who, dataset: dataset.name, request: keptRequest() }
  dataset = undefined
  session.token = ''
  $('identity').hidden = true
  form.hidden = $('exports').hidden = true
  $('sign-in').hidden = false
  $('sign-in-reason').textContent = reason || 'This service wants to know who you are.'
  $('token').focus()
}

async function begin() {
  clearTimeout(beginning)
  const { who, text } = identityOf(session.token)
  $('identity').hidden = !session.token
  $('who').textContent = text
  try {
    ;({ datasets, destinations = [] } = await call('GET', '/datasets'))
  } catch (failure) {
    if (failure.status === 401) return
    if (failure.status === 403) return askToSignIn(`${failure.message} ${advice.forbidden}`)
    warn(inWords(failure))
    beginning = setTimeout(begin, Math.max(failure.retryAfter ?? 0, 5) * 1000)
    return
  }
  $('banner').hidden = $('sign-in').hidden = true
  $('exports').hidden = false
  form.hidden = datasets.length === 0
  if (datasets.length === 0) {
    warn('There is no dataset that you may export.')
  } else {
    $('dataset').replaceChildren(...datasets.map(d => element('option', { value: d.name, textContent: d.name })))
    buildFormat()
    buildDestination()
    // What was filled in stays over a token's end, for the same person.
    if (filled?.by !== who || !writeRequest(filled.dataset, filled.request)) chooseDataset(datasets[0].name)
    filled = undefined
    changed()
  }
  await restart()
}

$('sign-in').addEventListener('submit', event => {
  event.preventDefault()
  const token = $('token').value.trim().replace(/^Bearer\s+/i, '')
  if (!/^[!-~]+$/.test(token)) {
    $('sign-in-reason').textContent = token ? 'This isn’t a whole token: it has characters in it that tokens have not.' : 'Paste a token.'
    $('token').focus()
    return
  }
  session.token = token
  $('token').value = ''
  begin()
})
$('sign-out').onclick = () => {
  forget()
  askToSignIn('You are signed out.')
  filled = undefined
}

buildForm()
buildList()
begin()
