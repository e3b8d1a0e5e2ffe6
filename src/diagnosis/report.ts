/** The answer in words, for somebody who is tired; as JSON; as one page to send to the other side. */
import { bytes, show } from '../base/bytes.ts'
import type { Alteration, Grade } from './alteration.ts'
import type { Diagnosis } from './diagnosis.ts'
import { sayPlace } from './locate.ts'
import type { Suspect } from './suspect.ts'

/** Of the JSON; another number where a reader of this one would misread it. `docs/diagnosis.md` describes it. */
export const SCHEMA = 1

/** A part of the report: a heading, and lines under it. */
export interface Part {
  readonly heading: string
  readonly lines: readonly ReportLine[]
}

export interface ReportLine {
  readonly text: string
  /** To be typed or compared as it stands. */
  readonly literal?: boolean
}

export function headline({ outcome, target, vantage, alterations, suspects, location, remarks }: Diagnosis): string {
  const from = vantage === '' || vantage === 'here' ? '' : ` from ${vantage}`
  if (outcome === 'clean')
    return `${target}${from}: nothing on the way alters what is said, as far as it shows from here`
  if (outcome === 'unclear') {
    const why = alterations[0]?.why ?? remarks[0] ?? 'too little was heard'
    return `${target}${from}: it cannot be told (${why})`
  }
  const [first] = suspects
  const who = first ? `by ${first.name}` : 'by a box we do not know'
  const [place, ...more] = location?.places ?? []
  const where = place && more.length === 0 ? `, at ${sayPlace(place)}` : ''
  return `${target}${from}: mail is altered on the way, ${first ? `${who} (${first.grade})` : who}${where}`
}

const GRADES: Readonly<Record<Grade, string>> = {
  proven: 'proven',
  likely: 'likely: no other cause is known',
  possible: 'possible: there are other causes',
}

export function partsOf(diagnosis: Diagnosis): readonly Part[] {
  const { alterations, suspects, location, losses, cures, around, checks, remarks } = diagnosis
  const parts: Part[] = []
  const add = (heading: string, lines: readonly ReportLine[]) => {
    if (lines.length > 0) parts.push({ heading, lines })
  }
  add('What was altered', alterations.flatMap(sayAlteration))
  // Where nothing was done nobody did it: what a front looks like stands among the remarks.
  const accused = alterations.length > 0 ? suspects.slice(0, 3) : []
  add(
    'Who did it',
    accused.flatMap(each => saySuspect(each, alterations.length)),
  )
  if (location) {
    const lines: ReportLine[] = location.places.flatMap(place => [
      { text: sayPlace(place) },
      ...(place.by ? [{ text: `${place.by.at}: ${place.by.command}`, literal: true }] : []),
    ])
    if (location.places.length > 1) lines.unshift({ text: 'one of these, as far as the vantages tell:' })
    if (location.places.length === 0)
      lines.push({ text: 'nothing that is crossed by every altered way and by no clean one: there may be two' })
    const heard = (names: readonly string[]) => (names.length > 0 ? names.join(', ') : 'nowhere')
    lines.push({
      text: `altered as heard from ${heard(location.altered)}; clean as heard from ${heard(location.clean)}`,
    })
    add('Where', lines)
  }
  add(
    'What suffers',
    losses.map(({ subject, what, felt }) => ({ text: `${subject}: ${what}. ${felt}` })),
  )
  const typed = (location?.places ?? []).flatMap(({ node, by }) =>
    by ? [{ text: `on ${node}:` }, { text: by.cure, literal: true }] : [],
  )
  add('The cure', [
    ...typed,
    ...(typed.length > 0
      ? []
      : cures.flatMap(({ on, lines, note }) => [
          { text: `${on}:` },
          ...lines.map(text => ({ text, literal: true })),
          { text: `(${note})` },
        ])),
  ])
  add(
    'Until then, for who sends',
    around.map(text => ({ text })),
  )
  add(
    'If it is not that, look at',
    checks.map(text => ({ text })),
  )
  add(
    'Besides',
    remarks.map(text => ({ text })),
  )
  return parts
}

function sayAlteration({
  kind,
  subject,
  before,
  after,
  grade,
  why,
  candidates = [],
  toward,
}: Alteration): readonly ReportLine[] {
  // Where several are possible none of them stands in the heading.
  const name = before === undefined && candidates.length > 1 ? after : subject
  const about = name === '' ? KINDS[kind] : `${name}: ${KINDS[kind]}`
  const lines: ReportLine[] = [{ text: `${about} (${GRADES[grade]})` }]
  const [said, heard] = toward === 'server' ? ['said   ', 'arrived'] : ['sent   ', 'heard  ']
  if (before !== undefined) lines.push({ text: `${said}  ${shown(before)}`, literal: true })
  if (after !== '') lines.push({ text: `${heard}  ${shown(after)}`, literal: true })
  else if (before !== undefined && kind !== 'fragment') lines.push({ text: `${heard}  (nothing)`, literal: true })
  if (before === undefined && candidates.length > 1) lines.push({ text: `may have been ${candidates.join(', ')}` })
  lines.push({ text: why })
  return lines
}

const KINDS: Readonly<Record<Alteration['kind'], string>> = {
  greeting: 'the greeting is hidden',
  'keyword-masked': 'an extension is masked in the EHLO reply',
  'keyword-missing': 'an extension is missing from the EHLO reply',
  'keyword-added': 'an extension is offered that the server did not offer',
  verb: 'the command arrives as another',
  fragment: 'typed octet by octet it arrives otherwise',
  refused: 'it is refused',
  reply: 'the reply is another than the server gave',
  content: 'the message arrives otherwise',
  'cut-off': 'the connection ends or stalls',
}

function shown(octets: string): string {
  return octets
    .split('\r\n')
    .map(line => show(bytes(line)))
    .join(' ⏎ ')
}

function saySuspect(
  { name, grade, by, explains, leaves, alike, marks }: Suspect,
  count: number,
): readonly ReportLine[] {
  const how = {
    experiment: 'run over the undisturbed dialogue, it does just this',
    signature: `its marks: ${marks.join('; ')}`,
    configuration: 'its configuration says so',
  }[by]
  const all = leaves.length === 0 ? `it explains all of it` : `it explains ${explains.length} of ${count}`
  const lines = [{ text: `${name}: ${GRADES[grade]}; ${all}` }, { text: how }]
  return alike.length > 0 ? [...lines, { text: `the same evidence fits ${few(alike)}` }] : lines
}

function few(names: readonly string[]): string {
  const more = names.length - 3
  return more > 0 ? `${names.slice(0, 3).join('; ')}; and ${more} more variants` : names.join('; ')
}

export function reportText(diagnosis: Diagnosis): string {
  const lines = [headline(diagnosis)]
  for (const { heading, lines: under } of partsOf(diagnosis)) {
    lines.push('', heading, ...under.map(({ text, literal }) => `${literal ? '      ' : '   '}${text}`))
  }
  return lines.join('\n')
}

export function reportJson(diagnosis: Diagnosis): Readonly<Record<string, unknown>> {
  return { schema: SCHEMA, ...diagnosis, headline: headline(diagnosis) }
}

/** One line as Nagios reads it. The exit status goes with it: 0 OK, 1 is its WARNING. */
export function checkLine(diagnosis: Diagnosis, took: number): string {
  const { outcome, alterations } = diagnosis
  const state = { clean: 'OK', altered: 'WARNING', unclear: 'CRITICAL' }[outcome]
  const text = headline(diagnosis).replace(/[|\n]/g, ' ')
  return `SMTP PATH ${state} - ${text} | alterations=${alterations.length};0;;0 time=${(took / 1000).toFixed(3)}s;;;0`
}

function escaped(text: string): string {
  return text.replace(
    /[&<>"']/g,
    char => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[char] ?? char,
  )
}

/** One page that needs nothing else: to be sent to the other side's administrator. */
export function reportHtml(diagnosis: Diagnosis, { date }: { readonly date: string }): string {
  const colour = { clean: '#1a7f37', altered: '#b35900', unclear: '#57606a' }[diagnosis.outcome]
  const sections = partsOf(diagnosis)
    .map(({ heading, lines }) => {
      const body = lines
        .map(({ text, literal }) => (literal ? `<pre>${escaped(text)}</pre>` : `<p>${escaped(text)}</p>`))
        .join('\n')
        .replaceAll('</pre>\n<pre>', '\n')
      return `<section>\n<h2>${escaped(heading)}</h2>\n${body}\n</section>`
    })
    .join('\n')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Mail path: ${escaped(diagnosis.target)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #1f2328; background: #fff }
h1 { font-size: 1.25rem; border-left: .4rem solid ${colour}; padding-left: .8rem }
h2 { font-size: 1rem; margin: 1.6rem 0 .3rem }
p { margin: .2rem 0 }
pre { background: #f6f8fa; padding: .5rem .8rem; margin: .3rem 0; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere }
footer { margin-top: 2rem; color: #57606a; font-size: .85rem }
</style>
</head>
<body>
<h1>${escaped(headline(diagnosis))}</h1>
${sections}
<footer>Heard on ${escaped(date)} by postern diagnose. Octets that are no printable ASCII are written as \\xNN.</footer>
</body>
</html>
`
}
