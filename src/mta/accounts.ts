import { fromBase64, toBase64 } from '../base/bytes.ts'
import type { Diagnostic, SourceRef } from '../base/problem.ts'
import { type Line, quote, readLines, type Word } from '../config/text.ts'
import type { ScramVerifier } from '../smtp/sasl/mechanism.ts'
import { ITERATIONS } from '../smtp/sasl/scram-message.ts'

/**
 * Who may log in, one line for each:
 *
 *     alice SCRAM-SHA-256$65536:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6n…8=
 *     bob   SCRAM-SHA-256$… NT$a4f49c406510bdcab6824ee7c30fd852
 *     decoys SECRET$…
 *
 * That is iterations, salt, StoredKey and ServerKey (RFC 5803 §2 has the same); and where NTLM is switched on for the account
 * its NT hash. The secret behind `decoys` keeps accounts that do not exist looking the same from one start to the next.
 */
export interface Account {
  readonly name: string
  readonly verifier: ScramVerifier
  /** 16 octets; there where NTLM is switched on for this account. */
  readonly ntHash?: Uint8Array
  readonly at?: SourceRef
}

export interface Accounts {
  /** By `fold` of their names. */
  readonly byName: ReadonlyMap<string, Account>
  readonly decoys?: Uint8Array
}

/**
 * Iterations of a new account: some 15 ms of a processor for whoever checks a password, and for whoever guesses one out of
 * a stolen file.
 */
export const NEW_ITERATIONS = 65_536
export const DECOYS_LENGTH = 32

const KEY_LENGTH = 32
const NT_HASH_LENGTH = 16
const SALT_LENGTHS = { least: 8, most: 64 } as const

/** Names that differ in case only are one account's: Windows clients do not tell them apart. */
export function fold(name: string): string {
  return name.toLowerCase()
}

export function accountNamed({ byName }: Accounts, name: string): Account | undefined {
  return byName.get(fold(name))
}

/** Every account of the text, and every mistake in it. No diagnostic shows a secret. */
export function parseAccounts(
  text: string,
  file: string,
): { readonly accounts: Accounts; readonly problems: readonly Diagnostic[] } {
  const { lines, problems: cutting } = readLines(text, file)
  const problems = [...cutting]
  const byName = new Map<string, Account>()
  let decoys: Uint8Array | undefined
  for (const line of lines) {
    const read = readLine(line)
    if ('problems' in read) {
      problems.push(...read.problems)
    } else if ('decoys' in read) {
      if (decoys) problems.push(wrong(line.at, 'there is a secret of decoys already'))
      decoys ??= read.decoys
    } else {
      const before = byName.get(fold(read.name))?.at?.line
      if (before === undefined) byName.set(fold(read.name), read)
      else problems.push(wrong(read.at ?? line.at, `the account ${read.name} is there already`, `see line ${before}`))
    }
  }
  const accounts = { byName, ...(decoys ? { decoys } : {}) }
  problems.sort((a, b) => (a.at?.line ?? 0) - (b.at?.line ?? 0))
  return { accounts, problems: problems.map(hidden) }
}

/** An account as its line, which `parseAccounts` reads back as the same. */
export function formatAccount({ name, verifier, ntHash }: Account): string {
  const { iterations, salt, storedKey, serverKey } = verifier
  const scram = `SCRAM-SHA-256$${iterations}:${toBase64(salt)}$${toBase64(storedKey)}:${toBase64(serverKey)}`
  return [quote(name), scram, ...(ntHash ? [`NT$${hexOf(ntHash)}`] : [])].join(' ')
}

export function formatDecoys(secret: Uint8Array): string {
  return `decoys SECRET$${toBase64(secret)}`
}

/** Why nobody can have this name, if so. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'a name has at least one character'
  if (/^[!:#]/.test(name)) return `a name cannot begin with "${name.charAt(0)}", which begins a comment`
  const { lines, problems } = readLines(quote(name), '')
  return problems[0]?.message ?? (lines[0]?.words[0]?.text === name ? undefined : 'a name cannot hold a line end')
}

/** The text with this line in the place of the account's, or behind the rest. Comments and the other lines stay. */
export function withAccount(text: string, account: Account): string {
  return replaced(text, account.name, formatAccount(account)) ?? appended(text, formatAccount(account))
}

/** `undefined` where there is no such account. */
export function withoutAccount(text: string, name: string): string | undefined {
  return replaced(text, name, undefined)
}

export function appended(text: string, line: string): string {
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`
}

function replaced(text: string, name: string, by: string | undefined): string | undefined {
  const found = readLines(text, '').lines.find(
    ({ words: [first, second] }) => first && fold(first.text) === fold(name) && second?.text.startsWith('SCRAM-'),
  )
  if (!found) return undefined
  const lines = text.split('\n')
  lines.splice(found.at.line - 1, 1, ...(by === undefined ? [] : [by]))
  return lines.join('\n')
}

type ReadLine = Account | { readonly decoys: Uint8Array } | { readonly problems: readonly Diagnostic[] }

function readLine({ words, at }: Line): ReadLine {
  const [name, first, second, ...more] = words
  if (!name || !first) return { problems: [wrong(at, 'a verifier must follow the name', EXPECTED)] }
  if (first.text.startsWith('SECRET$')) {
    const decoys = fromBase64(first.text.slice('SECRET$'.length))
    if (decoys?.length === DECOYS_LENGTH && words.length === 2) return { decoys }
    return { problems: [wrong(first.at, `a secret of decoys has ${DECOYS_LENGTH} octets`, 'SECRET$ and base64')] }
  }
  const verifier = readVerifier(first)
  const ntHash = second && readNtHash(second)
  const problems = [
    ...('message' in verifier ? [verifier] : []),
    ...(ntHash && 'message' in ntHash ? [ntHash] : []),
    ...(more[0] ? [wrong(more[0].at, 'nothing more was expected')] : []),
  ]
  if ('message' in verifier || (ntHash && 'message' in ntHash) || problems.length > 0) return { problems }
  return { name: name.text, verifier, ...(ntHash ? { ntHash } : {}), at: name.at }
}

const EXPECTED = 'SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, as `postern mta password` writes it'

function readVerifier({ text, at }: Word): ScramVerifier | Diagnostic {
  const [scheme, first = '', keys = '', ...more] = text.split('$')
  const [count = '', salt64 = '', ...rest] = first.split(':')
  const [stored64 = '', server64 = '', ...others] = keys.split(':')
  if (scheme !== 'SCRAM-SHA-256' || more.length + rest.length + others.length > 0)
    return wrong(at, 'this is no verifier', EXPECTED)
  const iterations = /^\d{1,9}$/.test(count) ? Number(count) : 0
  if (iterations < ITERATIONS.least || iterations > ITERATIONS.most)
    return wrong(at, 'these iterations are out of range', `${ITERATIONS.least} to ${ITERATIONS.most}`)
  const salt = fromBase64(salt64)
  if (!salt || salt.length < SALT_LENGTHS.least || salt.length > SALT_LENGTHS.most)
    return wrong(at, 'this salt is none', `base64 of ${SALT_LENGTHS.least} to ${SALT_LENGTHS.most} octets`)
  const [storedKey, serverKey] = [fromBase64(stored64), fromBase64(server64)]
  if (storedKey?.length !== KEY_LENGTH || serverKey?.length !== KEY_LENGTH)
    return wrong(at, 'StoredKey and ServerKey are not both keys', `each is base64 of ${KEY_LENGTH} octets`)
  return { iterations, salt, storedKey, serverKey }
}

function readNtHash({ text, at }: Word): Uint8Array | Diagnostic {
  const digits = /^NT\$([0-9a-fA-F]{32})$/.exec(text)?.[1]
  if (digits === undefined) return wrong(at, 'this is no NT hash', `NT$ and ${NT_HASH_LENGTH * 2} hexadecimal digits`)
  return Uint8Array.from({ length: NT_HASH_LENGTH }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16))
}

function hexOf(octets: Uint8Array): string {
  return Array.from(octets, octet => octet.toString(16).padStart(2, '0')).join('')
}

function wrong(at: SourceRef, message: string, hint?: string): Diagnostic {
  return { severity: 'error', message, at, ...(hint === undefined ? {} : { hint }) }
}

/** The line without what must not be seen: behind the name only marks and lengths are left. */
function hidden(problem: Diagnostic): Diagnostic {
  const { at } = problem
  if (!at) return problem
  const nameEnd = /^[ \t]*(?:"(?:[^"\\]|\\.)*"|[^ \t]+)/.exec(at.text)?.[0].length ?? 0
  const behind = at.text
    .slice(nameEnd)
    .replace(/SCRAM-SHA-256(?=\$)|NT(?=\$)|SECRET(?=\$)|[^ \t$:]/g, found => (found.length > 1 ? found : '*'))
  return { ...problem, at: { ...at, text: at.text.slice(0, nameEnd) + behind } }
}
