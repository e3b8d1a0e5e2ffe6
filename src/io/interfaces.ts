import { networkInterfaces } from 'node:os'

/** Is it an address of this machine now? Of canonical spelling. */
export function isOwnAddress(ip: string): boolean {
  return Object.values(networkInterfaces()).some(each => each?.some(({ address }) => address === ip))
}
