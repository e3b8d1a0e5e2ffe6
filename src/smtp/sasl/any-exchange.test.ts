/** Both halves of a mechanism, played against each other. The name keeps it out of the published package. */
import assert from 'node:assert/strict'
import { pbkdf2Sync } from 'node:crypto'
import { NO_BYTES } from '../../base/bytes.ts'
import { HASHES } from '../../io/hashes.ts'
import type {
  Mechanism,
  SaslAnswer,
  SaslClient,
  SaslClientAnswer,
  SaslClientContext,
  SaslClientQuestion,
  SaslQuestion,
  SaslServer,
  SaslServerContext,
  SaslServerStep,
  ScramVerifier,
} from './mechanism.ts'
import { mechanismNamed } from './mechanisms.ts'
import { ntHash } from './ntlm.ts'
import { scramVerifier } from './scram.ts'

export function mechanism(name: string): Mechanism {
  const found = mechanismNamed(name)
  assert.ok(found, name)
  return found
}

export const SERVER: SaslServerContext = {
  hashes: HASHES,
  now: 1_700_000_000_000,
  tls: { secured: true },
  offered: ['SCRAM-SHA-256', 'NTLM', 'PLAIN', 'LOGIN', 'GSSAPI'],
  secret: new Uint8Array(32).fill(7),
  iterations: 4096,
  hostname: 'mail.b.example',
  strict: false,
}

export const CLIENT: SaslClientContext = {
  hashes: HASHES,
  now: 1_700_000_000_000,
  tls: { secured: true },
  offered: SERVER.offered,
  user: 'alice',
  password: 'grüne Wiese',
}

export function verifierOf(password: string, salt: Uint8Array = new Uint8Array(16).fill(3)): ScramVerifier {
  const salted = pbkdf2Sync(password, salt, 4096, 32, 'sha256')
  return scramVerifier(salted, { salt, iterations: 4096, hashes: HASHES })
}

/** A world with these accounts in it: name to password. */
export function worldOf(accounts: Readonly<Record<string, string>>) {
  return (question: SaslQuestion): SaslAnswer => {
    const gss = gssAnswer(question)
    if (gss) return gss as SaslAnswer
    const user = 'user' in question ? question.user : ''
    const password = Object.hasOwn(accounts, user) ? accounts[user] : undefined
    switch (question.kind) {
      case 'password':
        return { kind: 'password', ...(password === question.password ? { user } : {}) }
      case 'verifier':
        return password === undefined
          ? { kind: 'verifier' }
          : { kind: 'verifier', known: { user, verifier: verifierOf(password) } }
      case 'nt-hash':
        return password === undefined
          ? { kind: 'nt-hash' }
          : { kind: 'nt-hash', known: { user, hash: ntHash(password) } }
      default:
        return { kind: 'unavailable', why: 'no GSS here' }
    }
  }
}

export function clientWorld(question: SaslClientQuestion): SaslClientAnswer {
  if (question.kind === 'salted-password') {
    const { password, salt, iterations } = question
    return { kind: 'salted-password', bytes: pbkdf2Sync(password, salt, iterations, 32, 'sha256') }
  }
  return (gssAnswer(question) ?? { kind: 'unavailable', why: '' }) as SaslClientAnswer
}

/** A GSS of two tokens, whose messages are wrapped by an octet in front. */
function gssAnswer(question: SaslQuestion | SaslClientQuestion): SaslAnswer | SaslClientAnswer | undefined {
  switch (question.kind) {
    case 'gss-initiate':
      return question.token
        ? { kind: 'gss-initiate', established: true }
        : { kind: 'gss-initiate', established: false, token: Uint8Array.of(0x60) }
    case 'gss-accept':
      if (question.token[0] !== 0x60) return { kind: 'refused', why: 'a defective token' }
      return { kind: 'gss-accept', token: Uint8Array.of(0x6f), user: 'alice@B.EXAMPLE' }
    case 'gss-wrap':
      return { kind: 'gss-wrap', bytes: Uint8Array.of(5, ...question.bytes) }
    case 'gss-unwrap':
      if (question.bytes[0] !== 5) return { kind: 'refused', why: 'a defective message' }
      return { kind: 'gss-unwrap', bytes: question.bytes.subarray(1) }
    default:
      return undefined
  }
}

export interface Played {
  readonly end:
    | Exclude<SaslServerStep, { kind: 'challenge' | 'ask' }>
    | { readonly kind: 'give-up'; readonly why: string }
  /** Did the client say that it is complete when the server said done? */
  readonly complete: boolean
}

/** Until one of the two ends it; `alter` stands in the middle. */
export function play(
  server: SaslServer,
  client: SaslClient,
  {
    world = worldOf({ alice: 'grüne Wiese' }),
    alter = (_, bytes) => bytes,
  }: {
    world?: (question: SaslQuestion) => SaslAnswer
    alter?: (from: 'client' | 'server', bytes: Uint8Array) => Uint8Array
  } = {},
): Played {
  const { initial } = client.start()
  let heard = initial && alter('client', initial)
  for (let round = 0; round < 20; round++) {
    let step = server.step(heard)
    while (step.kind === 'ask') step = server.answer(world(step.question))
    if (step.kind !== 'challenge') return { end: step, complete: client.complete }
    let said = client.step(step.text === undefined ? alter('server', step.bytes) : undefined)
    while (said.kind === 'ask') said = client.answer(clientWorld(said.question))
    if (said.kind === 'give-up') return { end: said, complete: client.complete }
    heard = alter('client', said.bytes)
  }
  return assert.fail('they never come to an end')
}

/** The step a server comes to with these responses in turn. */
export function after(
  server: SaslServer,
  responses: readonly (Uint8Array | undefined)[],
  world: (question: SaslQuestion) => SaslAnswer = worldOf({ alice: 'grüne Wiese' }),
): SaslServerStep {
  let step: SaslServerStep = { kind: 'challenge', bytes: NO_BYTES }
  for (const response of responses) {
    step = server.step(response)
    while (step.kind === 'ask') step = server.answer(world(step.question))
  }
  return step
}
