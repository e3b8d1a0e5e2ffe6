/** Two observations held against each other: another destination by the same way, the same one by another, or later. */
import { type Alteration, alterationsIn } from './alteration.ts'
import { isMasked } from './keyword.ts'
import { codeOf, inClear, type Observation, offersOf, textsOf } from './observation.ts'

/** Is what shows here shown by an unrelated server as well? Then the cause is near us, and not at the server. */
export function sameEverywhere(here: Observation, control: Observation): readonly string[] {
  if (control.exchanges.length === 0) return [`the control ${control.target} could not be asked: it tells nothing`]
  const [a, b] = [here, control].map(each => inClear(each, 'EHLO')?.heard.slice(1).join('\n') ?? '')
  const name = control.target
  if (a !== '' && a === b && (a?.split('\n').length ?? 0) >= 3) {
    return [
      `${name} answers EHLO with the same list, line for line: whoever answers is near us, and the server is not to blame`,
    ]
  }
  const kinds = new Set(alterationsIn(here).map(({ kind }) => kind))
  const both = alterationsIn(control).filter(({ kind }) => kinds.has(kind))
  if (kinds.size === 0) return [`the control ${name} shows ${both.length === 0 ? 'nothing either' : 'something'}`]
  if (both.length > 0)
    return [
      `${name} shows the same (${both.map(({ kind }) => kind).join(', ')}): the cause is near us, and not at the server`,
    ]
  return [`${name} shows nothing of it: the cause is not near us, but towards ${here.target}`]
}

/**
 * What a vantage beside the server hears, and this one does not. A server may treat two clients otherwise, so it is never
 * more than likely; what is masked shows itself, and is left to `alterationsIn`.
 */
export function alterationsAgainst(beside: Observation, here: Observation): readonly Alteration[] {
  const found: Alteration[] = []
  const why = `heard from ${beside.vantage}, beside the server, and not from ${here.vantage}`
  const base = { toward: 'client', grade: 'likely', why } as const
  const [theirs, ours] = [beside, here].map(each => each.exchanges.find(({ said }) => said === ''))
  const [was, is] = [theirs, ours].map(each => (each && codeOf(each) === 220 ? textsOf(each).join('\r\n') : ''))
  if (was && is && nameIn(was) !== nameIn(is) && !/^[*20 ]*$/.test(is)) {
    found.push({ ...base, kind: 'greeting', subject: '', before: `220 ${was}`, after: `220 ${is}` })
  }
  const [full, list] = [beside, here].map(each => inClear(each, 'EHLO'))
  if (!full || !list || codeOf(full) !== 250 || codeOf(list) !== 250) return found
  const at = here.exchanges.indexOf(list)
  const known = new Set(offersOf(list).map(keywordOf))
  const masked = offersOf(list)
    .filter(isMasked)
    .map(({ length }) => length)
  for (const line of offersOf(full)) {
    if (known.has(keywordOf(line)) || masked.includes(line.length) || keywordOf(line) === 'OK') continue
    found.push({ ...base, kind: 'keyword-missing', subject: keywordOf(line), before: line, after: '', at })
  }
  const offered = new Set(offersOf(full).map(keywordOf))
  for (const line of offersOf(list)) {
    if (offered.has(keywordOf(line)) || isMasked(line)) continue
    found.push({ ...base, kind: 'keyword-added', subject: keywordOf(line), after: line, at })
  }
  // X-EXPS GSSAPI and X-EXPS=LOGIN are one extension.
  return [...new Map(found.toReversed().map(each => [`${each.kind} ${each.subject}`, each])).values()].toReversed()
}

function nameIn(greeting: string): string {
  return greeting.split(/\s/, 1)[0]?.toLowerCase() ?? ''
}

function keywordOf(line: string): string {
  return (line.split(/[ =]/, 1)[0] ?? '').toUpperCase()
}

/** What is other in the second than in the first: lines for a person. */
export function differences(before: Observation, after: Observation): readonly string[] {
  const lines: string[] = []
  const asked = new Set(
    [...before.exchanges, ...after.exchanges].map(({ said, typed, secured }) => JSON.stringify([said, typed, secured])),
  )
  for (const key of asked) {
    const [said, typed, secured] = JSON.parse(key) as [string, boolean, boolean]
    const [a, b] = [before, after].map(({ exchanges }) =>
      exchanges.find(each => each.said === said && each.typed === typed && each.secured === secured),
    )
    const about = `${said === '' ? 'greeting' : said.trimEnd()}${typed ? ', typed' : ''}${secured ? ', in TLS' : ''}`
    if (!a || !b) {
      lines.push(`${about}: asked only ${a ? 'before' : 'after'}`)
      continue
    }
    const [was, is] = [a, b].map(each => textsOf(each).map(undated).join('\n'))
    if (was === is && a.heard.length === b.heard.length) continue
    const [gone, come] = [without(a.heard, b.heard), without(b.heard, a.heard)]
    lines.push(`${about}:`, ...gone.map(line => `- ${line}`), ...come.map(line => `+ ${line}`))
  }
  return lines
}

/** Greetings tell the time. */
function undated(line: string): string {
  return line.replace(/\d\d:\d\d:\d\d/g, '')
}

function without(lines: readonly string[], others: readonly string[]): readonly string[] {
  const known = new Set(others.map(undated))
  return lines.filter(line => !known.has(undated(line)))
}
