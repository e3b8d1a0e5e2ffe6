import { PosternError } from '../base/problem.ts'
import { readBytes } from './files.ts'

/** A password: the first line of its file. */
export function readSecret(path: string): string {
  const [first = ''] = readBytes(path).toString('utf8').split(/\r?\n/)
  if (first === '') throw unusable(`${path} holds no password: its first line is empty`)
  return first
}

/** A shared key of at least 128 bits, in hexadecimal. */
export function readKey(path: string): Uint8Array {
  const text = readBytes(path).toString('utf8').trim()
  if (!/^(?:[0-9a-fA-F]{2}){16,64}$/.test(text))
    throw unusable(`${path} holds no key: 32 to 128 hexadecimal digits were expected`)
  return Buffer.from(text, 'hex')
}

function unusable(why: string): PosternError {
  return new PosternError('POSTERN_BAD_SECRET', why, { side: 'us', retry: 'never' })
}
