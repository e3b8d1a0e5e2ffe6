/**
 * The fixups each version came with, in the order its own dumps print them. A `PIX Version` line loads them, as the box
 * had them before its first command.
 */
export const DEFAULT_FIXUPS: readonly (readonly [since: number, fixups: readonly string[]])[] = [
  [404, ['ftp 21', 'http 80', 'h323 1720', 'rsh 514', 'smtp 25', 'sqlnet 1521']],
  [503, ['ftp 21', 'http 80', 'h323 1720', 'rsh 514', 'smtp 25', 'sqlnet 1521', 'sip 5060']],
  [601, ['ftp 21', 'http 80', 'h323 1720', 'rsh 514', 'rtsp 554', 'smtp 25', 'sqlnet 1521', 'sip 5060', 'skinny 2000']],
  [
    602,
    [
      'ftp 21',
      'http 80',
      'h323 h225 1720',
      'h323 ras 1718-1719',
      'ils 389',
      'rsh 514',
      'rtsp 554',
      'smtp 25',
      'sqlnet 1521',
      'sip 5060',
      'skinny 2000',
    ],
  ],
  [
    603,
    [
      'dns maximum-length 512',
      'ftp 21',
      'h323 h225 1720',
      'h323 ras 1718-1719',
      'http 80',
      'rsh 514',
      'rtsp 554',
      'sip 5060',
      'sip udp 5060',
      'skinny 2000',
      'smtp 25',
      'sqlnet 1521',
      'tftp 69',
    ],
  ],
]

/** `6.1(1)` → 601; undefined where it is not a version. */
export function versionNumber(version: string): number | undefined {
  const found = /^(\d{1,2})\.(\d{1,2})(?:\(\d+\))?$/.exec(version)
  return found ? Number(found[1]) * 100 + Number(found[2]) : undefined
}

/** The defaults of the newest version that is not newer; the oldest known ones for what is older still. */
export function defaultFixups(version: string): readonly string[] {
  const number = versionNumber(version) ?? 0
  const [oldest] = DEFAULT_FIXUPS
  return (DEFAULT_FIXUPS.findLast(([since]) => since <= number) ?? oldest)?.[1] ?? []
}
