import { createHash, timingSafeEqual } from 'node:crypto'

/** Are the two secrets the same? In a time that tells nothing of either, their lengths included. */
export function sameSecret(a: string, b: string): boolean {
  const [x, y] = [a, b].map(each => createHash('sha256').update(each).digest())
  return x !== undefined && y !== undefined && timingSafeEqual(x, y)
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
