/** The files that a mail server's configuration names: passwords, accounts, certificates, authorities. */
import { isAbsolute, join } from 'node:path'
import { type Diagnostic, PosternError, type SourceRef } from '../base/problem.ts'
import { ConfigurationError, readBytes } from '../io/files.ts'
import { readSecret } from '../io/keys.ts'
import { identity } from '../io/tls.ts'
import { type Alias, Aliases, parseAliases } from '../mta/aliases.ts'
import type { MtaConfig } from '../mta/config.ts'
import type { NodeEnd } from '../routing/connector.ts'
import { openLogins } from './logins.ts'
import type { MtaWorld } from './mta-world.ts'
import { words } from './words.ts'

export type MtaFiles = Pick<MtaWorld, 'files' | 'logins' | 'identity' | 'keys' | 'aliases'>

/** Reads them all, or throws a `ConfigurationError` with everything that is wrong with any of them. */
export async function openMtaFiles(
  config: MtaConfig,
  folder: string,
  trouble: (cause: unknown) => void = () => {},
): Promise<MtaFiles> {
  const problems: Diagnostic[] = []
  const path = (file: string): string => (isAbsolute(file) ? file : join(folder, file))
  /** What a line asks for, or a problem with the line. */
  const attempt = async <T>(at: SourceRef, open: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await open()
    } catch (cause) {
      if (cause instanceof ConfigurationError) problems.push(...cause.problems)
      else problems.push({ severity: 'error', message: words(cause), at })
      return undefined
    }
  }
  const files = new Map<string, string>()
  for (const { file, at, kind } of namedFiles(config)) {
    const text = await attempt(at, () => (kind === 'secret' ? readSecret(path(file)) : readText(path(file))))
    if (text !== undefined) files.set(file, text)
  }
  const { tls } = config
  const [certificate, key] = tls ? [path(tls.certificateFile), path(tls.keyFile)] : []
  const found = tls && certificate && key ? await attempt(tls.at, () => certified(certificate, key)) : undefined
  const keys = certificate && key && found && { certificate: readBytes(certificate), key: readBytes(key) }
  const logins = await openLogins(config, files, path, { open: attempt, trouble })
  const { aliasesFile } = config
  const listed = aliasesFile && (await attempt(aliasesFile.at, () => readAliases(path(aliasesFile.file))))
  // A line of the configuration is nearer than one of the file.
  const aliases = new Aliases(config, [...(listed ?? []), ...config.aliases])
  problems.push(...aliases.problems())
  const secured = [...config.listens.filter(listen => listen.tls), ...nodeEnds(config).filter(isSecured)]
  for (const listen of secured) {
    if (tls) break
    const hint = 'add a line such as: tls certificate mail.pem key mail.key'
    problems.push({ severity: 'error', message: 'TLS needs a certificate, and none is named', hint, at: listen.at })
  }
  if (config.tlsRequired && !tls && !config.listens.some(listen => listen.tls)) {
    const hint = 'add a line such as: tls certificate mail.pem key mail.key'
    problems.push({ severity: 'error', message: '"tls required" needs a certificate, and none is named', hint })
  }
  if (problems.length > 0) throw new ConfigurationError(problems)
  return { files, logins, aliases, ...(found && { identity: found }), ...(keys && { keys }) }
}

interface NamedFile {
  readonly file: string
  readonly at: SourceRef
  readonly kind: 'secret' | 'text'
}

function namedFiles({ logins, routing, domainTls }: MtaConfig): readonly NamedFile[] {
  const theirs = routing.connectors.flatMap(({ login, tls, at }): NamedFile[] => [
    ...(login?.passwordFile === undefined ? [] : [{ file: login.passwordFile, at: login.at, kind: 'secret' } as const]),
    ...(tls?.authoritiesFile === undefined ? [] : [{ file: tls.authoritiesFile, at, kind: 'text' } as const]),
  ])
  const domains = domainTls.flatMap(({ tls, at }): NamedFile[] =>
    tls.authoritiesFile === undefined ? [] : [{ file: tls.authoritiesFile, at, kind: 'text' }],
  )
  const members = nodeEnds({ routing }).flatMap(({ authoritiesFile: file, at }): NamedFile[] =>
    file === undefined ? [] : [{ file, at, kind: 'text' }],
  )
  const passwords = logins.map(({ passwordFile, at }): NamedFile => ({ file: passwordFile, at, kind: 'secret' }))
  return [...passwords, ...theirs, ...members, ...domains]
}

/** Both kinds of end of the connections between members of a group. */
function nodeEnds({ routing: { nodeListens, nodeMaster } }: Pick<MtaConfig, 'routing'>): readonly NodeEnd[] {
  return nodeMaster ? [...nodeListens, nodeMaster] : nodeListens
}

function isSecured({ authoritiesFile }: NodeEnd): boolean {
  return authoritiesFile !== undefined
}

function readAliases(path: string): readonly Alias[] {
  const { aliases, problems } = parseAliases(readText(path), path)
  if (problems.length > 0) throw new ConfigurationError(problems)
  return aliases
}

function readText(path: string): string {
  return readBytes(path).toString('utf8')
}

export function certified(certificate: string, key: string): ReturnType<typeof identity> {
  const pair = [readBytes(certificate), readBytes(key)] as const
  try {
    return identity(...pair)
  } catch (cause) {
    const why = `${certificate} and ${key} are no certificate with its key: ${words(cause)}`
    throw new PosternError('POSTERN_CERTIFICATE', why, { side: 'us', retry: 'never', cause })
  }
}
