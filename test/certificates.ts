/** Certificates for tests: an authority of their own, and servers it vouches for, made by openssl when they are needed. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Certificates {
  /** Files, as PEM. */
  readonly authority: string
  readonly certificate: string
  readonly key: string
}

/** What a server on loopback may be called, whoever asks. */
const LOOPBACK = ['DNS:localhost', 'IP:127.0.0.1', 'IP:::1'] as const
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** A certificate for this server, under its names on loopback and those given, and the authority that signed it. */
export function makeCertificates(folder: string, names: readonly string[] = []): Certificates {
  return certify(makeAuthority(folder), folder, names)
}

/** An authority of its own: its certificate, and the key it signs with. */
export interface Authority {
  readonly authority: string
  readonly authorityKey: string
}

export function makeAuthority(folder: string): Authority {
  mkdirSync(folder, { recursive: true })
  const [authority, authorityKey] = [join(folder, 'authority.pem'), join(folder, 'authority.key')]
  const subject = ['-days', '30', '-subj', '/CN=Authority of a test']
  openssl('req', '-x509', ...EC, ...subject, '-keyout', authorityKey, '-out', authority)
  return { authority, authorityKey }
}

/** A certificate that an authority signed, for a server and for a client. */
export function certify(
  { authority, authorityKey }: Authority,
  folder: string,
  names: readonly string[] = [],
): Certificates {
  mkdirSync(folder, { recursive: true })
  const [certificate, key, request, extensions] = ['server.pem', 'server.key', 'request.pem', 'extensions.conf'].map(
    name => join(folder, name),
  ) as [string, string, string, string]
  openssl('req', ...EC, '-subj', `/CN=${names[0] ?? 'localhost'}`, '-keyout', key, '-out', request)
  const subjects = [...LOOPBACK, ...names.map(name => `DNS:${name}`)].join(',')
  const usage = 'extendedKeyUsage=serverAuth,clientAuth'
  writeFileSync(extensions, `subjectAltName=${subjects}\n${usage}\nbasicConstraints=CA:FALSE\n`)
  const signed = ['-CA', authority, '-CAkey', authorityKey, '-CAcreateserial', '-days', '30', '-extfile', extensions]
  openssl('x509', '-req', '-in', request, ...signed, '-out', certificate)
  return { authority, certificate, key }
}

function openssl(...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync('openssl', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${error?.message ?? stderr}`)
}
