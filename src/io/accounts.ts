import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { strictUtf8, utf8 } from '../base/bytes.ts'
import { type Diagnostic, PosternError } from '../base/problem.ts'
import {
  type Account,
  type Accounts,
  accountNamed,
  appended,
  DECOYS_LENGTH,
  formatDecoys,
  NEW_ITERATIONS,
  parseAccounts,
} from '../mta/accounts.ts'
import { ntHash } from '../smtp/sasl/ntlm.ts'
import { decoyVerifier, SALT_LENGTH, scramVerifier } from '../smtp/sasl/scram.ts'
import { ConfigurationError, readBytes } from './files.ts'
import { HASHES, saltedPassword } from './hashes.ts'

/** How many passwords are checked at once: the threads that do it are the ones that read files and resolve names. */
export const CHECKS_AT_ONCE = 2
/** How many may wait for that; whoever comes then is told to try later. */
export const CHECKS_WAITING = 256

/** Others than its owner may read it, by these bits of its mode. */
const OTHERS = 0o077

/** The accounts of a file, read afresh when it has changed. */
export class AccountFile {
  readonly path: string
  /** For the accounts that there are not. */
  readonly secret: Uint8Array
  /** Warnings of the first reading. */
  readonly warnings: readonly Diagnostic[]
  readonly #trouble: (cause: unknown) => void
  readonly #turns = new Turns()
  #accounts: Accounts
  #version: string

  /** Throws `ConfigurationError` with every mistake. A later change that has mistakes is told to `trouble`, and not taken. */
  constructor(path: string, { trouble = () => {} }: { readonly trouble?: (cause: unknown) => void } = {}) {
    this.path = path
    this.#trouble = trouble
    this.#version = versionOf(path)
    const { accounts, warnings } = readAccounts(path)
    this.#accounts = accounts
    this.warnings = warnings
    this.secret = accounts.decoys ?? randomBytes(DECOYS_LENGTH)
  }

  find(name: string): Account | undefined {
    return accountNamed(this.#current(), HASHES.saslPrep(name) ?? name)
  }

  /** Is NTLM switched on for anybody? */
  get hasNtHashes(): boolean {
    return [...this.#current().byName.values()].some(account => account.ntHash !== undefined)
  }

  /**
   * The account's own name where this is its password. The same work for a name that nobody has. Throws `PosternError`
   * where too many wait.
   */
  async check(user: string, password: string): Promise<string | undefined> {
    const account = this.find(user)
    const { hmacSha256, sha256, equal } = HASHES
    const { salt, iterations, storedKey } =
      account?.verifier ?? decoyVerifier(user, { hashes: HASHES, secret: this.secret, iterations: NEW_ITERATIONS })
    const prepared = HASHES.saslPrep(password)
    const salted = await this.#turns.take(() => saltedPassword(prepared ?? password, { salt, iterations }))
    const right = equal(sha256(hmacSha256(salted, utf8('Client Key'))), storedKey)
    return right && prepared !== undefined ? account?.name : undefined
  }

  #current(): Accounts {
    const version = versionOf(this.path)
    if (version !== this.#version) {
      this.#version = version
      try {
        this.#accounts = readAccounts(this.path).accounts
      } catch (cause) {
        this.#trouble(cause)
      }
    }
    return this.#accounts
  }
}

/** The account of this password; it has its own salt. Throws `PosternError` where there can be none of it. */
export async function newAccount(
  name: string,
  password: string,
  { ntlm }: { readonly ntlm: boolean },
): Promise<Account> {
  const prepared = HASHES.saslPrep(password)
  if (!prepared) throw unusable('the password is empty, or has characters that SASL prohibits (RFC 4013 §2.3)')
  const [salt, iterations] = [randomBytes(SALT_LENGTH), NEW_ITERATIONS]
  const salted = await saltedPassword(prepared, { salt, iterations })
  const verifier = scramVerifier(salted, { salt, iterations, hashes: HASHES })
  return { name, verifier, ...(ntlm ? { ntHash: ntHash(password) } : {}) }
}

/**
 * Changes a file of accounts as a whole, or not at all: nobody ever reads half of it, and it is on the disk when this
 * returns. Its mode becomes 0600, its owner stays. A file that is not there is begun.
 *
 * `edit` makes the next text of the last. Throws `ConfigurationError` where the file has mistakes, and does not touch it.
 */
export function editAccounts(named: string, edit: (text: string) => string): void {
  // Whoever keeps a link there means the file behind it.
  const path = exists(named) ? realpathSync(named) : named
  const next = `${path}.new`
  const file = openNext(next)
  try {
    const before = exists(path) ? textOf(path) : HEAD
    const { accounts } = parsed(before, path)
    const text = edit(accounts.decoys ? before : appended(before, formatDecoys(randomBytes(DECOYS_LENGTH))))
    parsed(text, path)
    const owner = statSync(path, { throwIfNoEntry: false })
    // Only root can, and only root needs to.
    if (owner && process.getuid?.() === 0) fchownSync(file, owner.uid, owner.gid)
    fchmodSync(file, 0o600)
    writeFileSync(file, text)
    fsyncSync(file)
    renameSync(next, path)
  } catch (cause) {
    rmSync(next, { force: true })
    throw cause
  } finally {
    closeSync(file)
  }
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

const HEAD = `# Who may log in: name, SCRAM-SHA-256 verifier and, with NTLM, the NT hash. Written by \`postern mta password\`.
`

/** It is the lock, too: one writes at a time. */
function openNext(next: string): number {
  try {
    return openSync(next, 'wx', 0o600)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'EEXIST')
      throw unusable(`${next} is there: somebody else writes, or was cut off; then remove it`, cause)
    throw unusable(`cannot write ${next}: ${(cause as Error).message}`, cause)
  }
}

function readAccounts(path: string): { readonly accounts: Accounts; readonly warnings: readonly Diagnostic[] } {
  const { accounts, problems: warnings } = parsed(textOf(path), path)
  const { mode } = statSync(path)
  if (process.platform === 'win32' || (mode & OTHERS) === 0) return { accounts, warnings }
  const problems = [...accounts.byName.values()].flatMap(({ name, ntHash, at }): Diagnostic[] => {
    const message = `others may read this file, and the NT hash of ${name} is as good as the password`
    return ntHash && at ? [{ severity: 'error', message, hint: `chmod 600 ${path}`, at }] : []
  })
  if (problems.length > 0) throw new ConfigurationError(problems)
  const message = `others may read ${path}, and guess at the passwords in it`
  return { accounts, warnings: [...warnings, { severity: 'warning', message, hint: `chmod 600 ${path}` }] }
}

function parsed(text: string, path: string): ReturnType<typeof parseAccounts> {
  const read = parseAccounts(text, path)
  if (read.problems.some(({ severity }) => severity === 'error')) throw new ConfigurationError(read.problems)
  return read
}

function textOf(path: string): string {
  const text = strictUtf8(readBytes(path))
  if (text === undefined) throw unusable(`${path} is not UTF-8`)
  return text
}

/** Another one after every change; the same as long as the file is away. */
function versionOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true })
  return stat ? `${stat.dev}:${stat.ino}:${stat.mtimeNs}:${stat.size}:${stat.mode}` : ''
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

/** Work for a few at a time, in the order of asking. */
class Turns {
  #busy = 0
  readonly #waiting: (() => void)[] = []

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy === CHECKS_AT_ONCE) {
      if (this.#waiting.length === CHECKS_WAITING) {
        const why = `${CHECKS_WAITING} passwords wait to be checked`
        throw new PosternError('POSTERN_BUSY', why, { side: 'us', retry: 'later' })
      }
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    } else {
      this.#busy++
    }
    try {
      return await work()
    } finally {
      // The turn goes on to who waits longest; it is given back where nobody does.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#busy--
    }
  }
}

function unusable(why: string, cause?: unknown): PosternError {
  return new PosternError('POSTERN_ACCOUNTS', why, { side: 'us', retry: 'never', cause })
}
