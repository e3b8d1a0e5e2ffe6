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
  mkdirSync(folder, { recursive: true })
  const at = (name: string): string => join(folder, name)
  const [authority, authorityKey, certificate, key, request, extensions] = [
    'authority.pem',
    'authority.key',
    'server.pem',
    'server.key',
    'request.pem',
    'extensions.conf',
  ].map(at) as [string, string, string, string, string, string]
  openssl(
    'req',
    '-x509',
    ...EC,
    '-days',
    '30',
    '-subj',
    '/CN=Authority of a test',
    '-keyout',
    authorityKey,
    '-out',
    authority,
  )
  openssl('req', ...EC, '-subj', `/CN=${names[0] ?? 'localhost'}`, '-keyout', key, '-out', request)
  const subjects = [...LOOPBACK, ...names.map(name => `DNS:${name}`)].join(',')
  writeFileSync(extensions, `subjectAltName=${subjects}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n`)
  const signed = ['-CA', authority, '-CAkey', authorityKey, '-CAcreateserial', '-days', '30', '-extfile', extensions]
  openssl('x509', '-req', '-in', request, ...signed, '-out', certificate)
  return { authority, certificate, key }
}

function openssl(...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync('openssl', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${error?.message ?? stderr}`)
}
