/** Vectors that are not met yet, and what is missing. Each is played all the same, and must go from here once it holds. */
export const UNMET: ReadonlyMap<string, string> = new Map([
  ...rows('no limit on commands or chunks that do nothing', [
    'bdat-flood',
    'bdat-zero-flood',
    'flood-noop',
    'flood-rset',
    'flood-ehlo',
    'flood-vrfy',
    'flood-mail-rset',
  ]),
  ...rows('the server has no STARTTLS', [
    'tls-inject-cmd',
    'tls-inject-mail',
    'tls-no-ehlo-after',
    'tls-twice',
    'tls-close-notify-in-bdat',
    'tls-inject-lf',
    'tls-inject-half',
    'tls-login-forgotten',
    'tls-before-hello',
    'tls-pipelined-inside',
  ]),
  ...rows('the client has no STARTTLS', ['resp-inject-after-220tls', 'resp-starttls-refused']),
  ...rows('no least rate of data', ['slow-data', 'slow-bdat', 'slow-bdat-refused']),
  ...rows('no clock for the session', ['slow-noop']),
  ...rows('a line that looks like a header field does not end the session', [
    'http-header-line',
    'http-content-type',
    'sip',
  ]),
  ...rows('ORCPT is not asked for its type', ['param-orcpt-untyped']),
  ...rows('a response of a login may end in a lone LF', ['auth-lf-only']),
  ...rows('no limit on the octets of a whole reply', ['resp-long-lines']),
  ...rows('a line of reply without end is drained for as long as it comes', [
    'resp-one-line-without-end',
    'resp-nothing-but-nul',
  ]),
])

function rows(why: string, ids: readonly string[]): readonly (readonly [string, string])[] {
  return ids.map(id => [id, why])
}
