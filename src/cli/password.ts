import type { Command } from 'commander'
import { PosternError } from '../base/problem.ts'
import { editAccounts, newAccount } from '../io/accounts.ts'
import { HASHES } from '../io/hashes.ts'
import { nameProblem, withAccount, withoutAccount } from '../mta/accounts.ts'
import { complain, EXIT, print } from './print.ts'

interface Options {
  readonly file: string
  readonly ntlm?: boolean
  readonly remove?: boolean
}

/** Nobody's password is longer; a terminal that pastes a book is stopped here. */
export const PASSWORD_LIMIT = 1_024

/** `postern mta password …`: who may log in. */
export function passwordCommand(mta: Command): void {
  mta
    .command('password')
    .description('set the password of an account, which is asked for twice, or is the first line of standard input')
    .argument('<user>', 'the name of the account')
    .requiredOption('--file <file>', 'the file of accounts; it is begun where there is none')
    .option('--ntlm', 'let this account use NTLM, too: what is kept for that is as good as the password')
    .option('--remove', 'take the account out of the file')
    .action(async (user: string, options: Options) => {
      process.exitCode = await setPassword(user, options)
    })
}

async function setPassword(named: string, { file, ntlm = false, remove }: Options): Promise<number> {
  const name = HASHES.saslPrep(named)
  const wrong = name === undefined ? 'it has characters that SASL prohibits (RFC 4013 §2.3)' : nameProblem(name)
  if (name === undefined || wrong !== undefined) throw misuse(`no account can be called "${named}": ${wrong}`)
  if (remove) {
    if (ntlm) throw misuse('--ntlm and --remove do not go together')
    editAccounts(file, text => {
      const without = withoutAccount(text, name)
      if (without === undefined) throw misuse(`there is no account ${name} in ${file}`)
      return without
    })
    print(`${name} is no longer in ${file}`)
    return EXIT.ok
  }
  const account = await newAccount(name, await askPassword(name), { ntlm })
  editAccounts(file, text => withAccount(text, account))
  print(`${name} is in ${file}, ${ntlm ? 'NTLM included' : 'without NTLM'}`)
  if (ntlm) complain(`keep ${file} from others: with the NT hash in it one can log in without the password`)
  return EXIT.ok
}

async function askPassword(name: string): Promise<string> {
  if (!process.stdin.isTTY) return readLine()
  const typed = octetsOf(process.stdin)
  process.stdin.setRawMode(true)
  try {
    const password = await readHidden(`password of ${name}: `, typed)
    const again = await readHidden('and once more: ', typed)
    if (again !== password) throw misuse('these were two passwords; nothing is changed')
    return password
  } finally {
    process.stdin.setRawMode(false)
  }
}

/** The first line of standard input, which is then left alone. */
async function readLine(): Promise<string> {
  let held = Buffer.alloc(0)
  for await (const chunk of process.stdin) {
    held = Buffer.concat([held, chunk as Buffer])
    const end = held.indexOf('\n')
    if (end >= 0) held = held.subarray(0, end)
    if (held.length > PASSWORD_LIMIT) throw tooLong()
    if (end >= 0) break
  }
  return decode(held.at(-1) === 0x0d ? held.subarray(0, -1) : held)
}

async function* octetsOf(stream: AsyncIterable<Buffer>): AsyncGenerator<number, void> {
  for await (const chunk of stream) yield* chunk
}

/** A line from the terminal that does not show. */
async function readHidden(prompt: string, octets: AsyncGenerator<number, void>): Promise<string> {
  process.stderr.write(prompt)
  let typed: number[] = []
  try {
    for (;;) {
      const { value: octet } = await octets.next()
      // As the terminal would: enter, end of file, interrupt, erase a character, erase the line.
      if (octet === undefined || octet === 0x0d || octet === 0x0a || octet === 0x04) return decode(Buffer.from(typed))
      if (octet === 0x03) throw misuse('given up; nothing is changed')
      if (octet === 0x7f || octet === 0x08) typed = withoutLast(typed)
      else if (octet === 0x15) typed = []
      else typed.push(octet)
      if (typed.length > PASSWORD_LIMIT) throw tooLong()
    }
  } finally {
    process.stderr.write('\n')
  }
}

/** Without the last character, of which UTF-8 may have made several octets. */
function withoutLast(octets: readonly number[]): number[] {
  let end = octets.length - 1
  while (end > 0 && ((octets[end] ?? 0) & 0xc0) === 0x80) end--
  return octets.slice(0, Math.max(0, end))
}

function decode(octets: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets)
  } catch {
    throw misuse('the password is not UTF-8')
  }
}

function tooLong(): PosternError {
  return misuse(`a password has at most ${PASSWORD_LIMIT} octets`)
}

function misuse(why: string): PosternError {
  return new PosternError('POSTERN_PASSWORD', why, { side: 'us', retry: 'never' })
}
