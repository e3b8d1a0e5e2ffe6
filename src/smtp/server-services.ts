/** Commands that are not about a message of this session: VRFY, ETRN, TURN, ATRN, X-LINK2STATE, XCLIENT. */
import type { Conversation } from './conversation.ts'
import { CHUNK_RECEIVED, type Chunk } from './link2state.ts'
import type { Params } from './params.ts'
import { reply } from './reply.ts'

export function vrfy(talk: Conversation, argument: string): void {
  if (!talk.options.services.has('VRFY') || argument === '') {
    return talk.say('vrfy', talk.word('cannot-verify', argument))
  }
  talk.ask('vrfy', { about: 'vrfy', text: argument, ...talk.asker }, 'verified', argument)
}

export function etrn(talk: Conversation, argument: string): void {
  if (!talk.options.services.has('ETRN')) return talk.mistake('not-here', 'ETRN')
  if (!NODE.test(argument)) return talk.mistake('bad-argument', 'ETRN needs the name of a node')
  talk.ask('etrn', { about: 'etrn', node: argument, ...talk.asker }, 'etrn-started', argument)
}

/** TURN gives mail to whoever asks, unless it is known who that is (RFC 5321 Appendix F.1, RFC 2645 §4). */
export function turn(talk: Conversation, verb: 'turn' | 'atrn', argument: string): void {
  const { options, login } = talk
  if (!options.services.has(verb.toUpperCase())) return talk.mistake('not-here', verb.toUpperCase())
  if (login === undefined) return talk.mistake('auth-first')
  const domains = argument === '' ? [] : argument.split(',')
  if (!domains.every(domain => NODE.test(domain))) return talk.mistake('bad-argument', 'ATRN [domain,domain …]')
  talk.ask(verb, { about: 'turn', verb, domains, login }, 'turned')
}

export function linkState(talk: Conversation, chunk: Chunk): void {
  const { options, login, frames } = talk
  if (login === undefined || !options.services.has('X-LINK2STATE')) return talk.mistake('not-offered', 'X-LINK2STATE')
  const gathered = frames.take(chunk)
  if (gathered.kind === 'more') return talk.say('x-link2state', CHUNK_RECEIVED)
  if (gathered.kind === 'frame') {
    const { frame, trimmed } = gathered
    return talk.ask('x-link2state', { about: 'link-state', frame, login, trimmed }, 'noop')
  }
  talk.countError()
  const status = { 501: '5.5.4', 503: '5.5.2', 552: '5.3.4' }[gathered.code]
  talk.say('x-link2state', reply(gathered.code, status, gathered.why))
}

/** A proxy says on whose behalf it speaks; all begins anew, as that client (Postfix XCLIENT). */
export function xclient(talk: Conversation, attributes: Params): void {
  if (!talk.options.services.has('XCLIENT')) return talk.mistake('not-trusted')
  const given = new Map(attributes.map(({ keyword, value }) => [keyword, value ?? '']))
  for (const name of given.keys()) {
    if (!XCLIENT_ATTRIBUTES.has(name)) return talk.mistake('bad-argument', `XCLIENT ${name}`)
  }
  const known = (name: string) => {
    const value = given.get(name)
    return value === undefined || /^\[(?:UN|TEMPUN)AVAIL(?:ABLE)?\]$/i.test(value) ? undefined : value
  }
  const address = known('ADDR')?.replace(/^IPV6:/i, '') ?? talk.peer
  if (!ADDRESS.test(address)) return talk.mistake('bad-argument', 'ADDR must be an address')
  talk.beginAnew(known('LOGIN'))
  talk.peer = address
  talk.say('xclient', talk.word('greeting'))
}

/** RFC 1985 §5.1: a name, `@domain` for all below it, or `#queue`. */
const NODE = /^[@#]?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?$/
/** What may be shown as an address, and cannot be anything else. */
const ADDRESS = /^[0-9A-Fa-f.:]{2,45}$/
const XCLIENT_ATTRIBUTES = new Set(['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'LOGIN', 'DESTADDR', 'DESTPORT'])
