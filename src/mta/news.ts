/** What happens to messages, a line each: for a log that is read, and searched by the message's id. */
import { type Instant, sayDuration } from '../base/time.ts'
import { formatPath } from '../smtp/address.ts'
import { type Outcome, type RecipientState, type SpoolEntry, sayOutcome } from '../spool/entry.ts'

/** A message was taken. */
export function sayReceived({ id, envelope: { from, recipients, body, smtputf8 }, trail }: SpoolEntry): string {
  const to = recipients.map(each => formatPath(each.to)).join(' ')
  const kind = [body, ...(smtputf8 ? ['smtputf8'] : [])].join(' ')
  return printable(`${id}: received from ${formatPath(from)} for ${to}, ${kind}; ${trail[0]?.what ?? ''}`)
}

/** What became of the recipients that were tried. */
export function sayTried(entry: SpoolEntry, tried: Iterable<number>, now: Instant): readonly string[] {
  return [...tried].flatMap(recipient => {
    const [to, state] = [entry.envelope.recipients[recipient]?.to, entry.recipients[recipient]]
    return to && state ? [printable(`${entry.id}: ${formatPath(to)} ${sayState(state, now)}`)] : []
  })
}

function sayState(state: RecipientState, now: Instant): string {
  if (state.kind === 'done') return sayEnd(state.outcome)
  const why = state.last ? sayOutcome(state.last) : 'waits'
  return `${why}; next try in ${sayDuration(Math.max(0, state.due - now))}`
}

function sayEnd(outcome: Outcome): string {
  return outcome.kind === 'failed' ? sayOutcome(outcome).replace('failed', 'bounced') : sayOutcome(outcome)
}

/** Somebody logged in, or did not. */
export function sayLogin(
  peer: string,
  { mechanism, user, why }: { readonly mechanism: string; readonly user?: string; readonly why?: string },
): string {
  const who = user === undefined ? '' : ` as ${user}`
  return printable(
    `[${peer}] ${why === undefined ? 'logged in' : 'did not log in'}${who} by ${mechanism}${why === undefined ? '' : `: ${why}`}`,
  )
}

/** Peers' words may hold what a terminal obeys. */
export function printable(line: string): string {
  return line.replace(/[\x00-\x1f\x7f-\x9f]/g, '?')
}
