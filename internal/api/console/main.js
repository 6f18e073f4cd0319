// Begins the page: with the token that this tab has, or none; who must sign
// in is asked to.

// identityOf reads a token's own words. They are shown and nothing else: what
// counts is the service's check.
function identityOf(token) {
  try {
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0))))
    const name = claims.email ?? claims.preferred_username ?? claims.sub
    const until = claims.exp ? `, until ${new Date(claims.exp * 1000).toLocaleTimeString()}` : ''
    return `${name}${until}`
  } catch {
    return 'by a token'
  }
}

function askToSignIn(reason) {
  clearTimeout(timer)
  session.token = ''
  $('identity').hidden = true
  form.hidden = $('exports').hidden = true
  $('sign-in').hidden = false
  $('sign-in-reason').textContent = reason || 'This service wants to know who you are.'
  $('token').focus()
}

async function begin() {
  try {
    const known = JSON.stringify(destinations)
    ;({ datasets, destinations } = await call('GET', '/datasets'))
    if (JSON.stringify(destinations) !== known) buildDestination() // or what was filled in would not stay
  } catch (failure) {
    if (failure.status === 401) return
    $('banner').textContent = `${failure.message} ${advice[failure.code] ?? ''}`
    $('banner').hidden = false
    setTimeout(begin, Math.max(failure.retryAfter ?? 0, 5) * 1000)
    return
  }
  $('banner').hidden = $('sign-in').hidden = true
  $('identity').hidden = !session.token
  $('who').textContent = session.token && `Signed in as ${identityOf(session.token)}`
  $('exports').hidden = false
  form.hidden = datasets.length === 0
  if (datasets.length === 0) {
    $('banner').textContent = 'There is no dataset that you may export.'
    $('banner').hidden = false
  } else if (!datasets.includes(dataset)) { // what was filled in stays over a sign-in
    const kept = dataset && datasets.some(d => d.name === dataset.name)
    $('dataset').replaceChildren(...datasets.map(d => element('option', { value: d.name, textContent: d.name })))
    if (kept) $('dataset').value = dataset.name
    else chooseDataset(datasets[0].name)
    changed()
  }
  await restart()
}

$('sign-in').addEventListener('submit', event => {
  event.preventDefault()
  session.token = $('token').value.trim().replace(/^Bearer\s+/i, '')
  $('token').value = ''
  begin()
})
$('sign-out').onclick = () => { forget(); askToSignIn('You are signed out.') }

buildForm()
buildList()
begin()
