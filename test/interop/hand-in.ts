/** A client that hands in a letter exactly as it is, so that what is under test is what comes behind. */
import assert from 'node:assert/strict'
import { Talk } from '../journeys/postern.ts'
import type { Letter } from './letter.ts'

/** Hands a letter to the server at a port of 127.0.0.1, as one chunk where it takes chunks; gives back its last reply. */
export async function handIn(
  port: number,
  {
    from,
    to,
    letter,
    reports,
  }: {
    readonly from: string
    readonly to: string
    readonly letter: Letter
    /** What is asked of reports: parameters of MAIL and of RCPT. */
    readonly reports?: { readonly mail: string; readonly rcpt: string }
  },
): Promise<string> {
  const { body, content } = letter
  const talk = await Talk.to(`127.0.0.1:${port}`)
  const ask = async (line: string, code: string): Promise<string> => {
    const reply = await talk.ask(line)
    assert.ok(reply.startsWith(code), `${line} was answered ${reply}`)
    return reply
  }
  assert.match(await talk.hear(), /^220/)
  const offered = await ask('EHLO client.interop.example', '250')
  const parameter = body !== '7bit' && offered.includes('8BITMIME') ? ` BODY=${body.toUpperCase()}` : ''
  await ask(`MAIL FROM:<${from}>${parameter}${reports ? ` ${reports.mail}` : ''}`, '250')
  await ask(`RCPT TO:<${to}>${reports ? ` ${reports.rcpt}` : ''}`, '25')
  if (offered.includes('CHUNKING')) {
    talk.say(`BDAT ${content.length} LAST\r\n`)
    talk.say(content)
  } else {
    await ask('DATA', '354')
    talk.say(Buffer.from(`${content.toString('latin1').replace(/^\./gm, '..')}.\r\n`, 'latin1'))
  }
  const reply = await talk.hear()
  assert.match(reply, /^250/, `the letter was answered ${reply}`)
  await ask('QUIT', '221')
  talk.close()
  return reply
}
