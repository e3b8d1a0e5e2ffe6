/**
 * A Kerberos realm on this machine, for as long as a test runs: a real KDC of MIT's on loopback, with principals, keytabs
 * and tickets in a folder of its own. Nothing of the machine's Kerberos is read or written.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type PeerName, peer } from '../tools/peers.ts'

export const REALM = 'POSTERN.TEST'

export interface Kerberos {
  /** Keys of every service, for the acceptor. */
  readonly keytab: string
  /** Keys of every user, for a client that fetches its tickets itself. */
  readonly clientKeytab: string
  /** To be laid over the environment of whatever shall live in this realm: KRB5_CONFIG, KRB5CCNAME, KRB5_KTNAME. */
  readonly env: Readonly<Record<string, string>>
  /** Where a ticket of this user's is, fetched just now: `FILE:…`. */
  ticket(user: string): string
  /** SIGSTOP makes a KDC that does not answer, SIGCONT one that does. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void
  stop(): Promise<void>
}

/** Services are `smtp/host`, users are names; the passwords are nobody's business. Throws where there can be no KDC. */
export async function startKerberos({
  services,
  users,
}: {
  readonly services: readonly string[]
  readonly users: readonly string[]
}): Promise<Kerberos> {
  const { root } = peer('krb5kdc')
  const folder = mkdtempSync(join(tmpdir(), 'postern-kerberos-'))
  const port = await freePort()
  const files = (name: string): string => join(folder, name)
  writeFileSync(files('krb5.conf'), configuration({ port, folder, plugins: pluginsOf(root) }))
  const env = {
    KRB5_CONFIG: files('krb5.conf'),
    KRB5_KDC_PROFILE: files('krb5.conf'),
    KRB5CCNAME: `FILE:${files('tickets')}`,
    KRB5_KTNAME: `FILE:${files('services.keytab')}`,
  }
  const tool = (name: PeerName, ...args: readonly string[]): void => {
    const { command, env: libraries } = peer(name)
    const ran = spawnSync(command, args, { env: { ...process.env, ...libraries, ...env }, encoding: 'utf8' })
    if (ran.status !== 0) throw new Error(`${name} ${args.join(' ')}: ${ran.error?.message ?? ran.stderr}`)
  }
  let kdc: ChildProcess | undefined
  const stop = async (): Promise<void> => {
    if (kdc && kdc.exitCode === null && kdc.signalCode === null) {
      const gone = new Promise(done => kdc?.once('exit', done))
      kdc.kill()
      await gone
    }
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    mkdirSync(files('db'))
    // -W: keys from /dev/urandom; the master password is asked for otherwise.
    tool('kdb5_util', '-r', REALM, 'create', '-s', '-W', '-P', 'for the time of a test')
    const ask = (query: string): void => tool('kadmin.local', '-r', REALM, '-q', query)
    for (const [names, keytab] of [
      [services, 'services.keytab'],
      [users, 'users.keytab'],
    ] as const) {
      for (const name of names) {
        ask(`addprinc -randkey ${name}`)
        ask(`ktadd -k ${files(keytab)} ${name}`)
      }
    }
    const { command, env: libraries } = peer('krb5kdc')
    kdc = spawn(command, ['-n', '-r', REALM, '-P', files('kdc.pid')], {
      env: { ...process.env, ...libraries, ...env },
      stdio: 'ignore',
    })
    // Should the test end before it says stop.
    process.once('exit', () => kdc?.kill())
    await listening(port)
  } catch (cause) {
    await stop()
    throw cause
  }
  return {
    keytab: files('services.keytab'),
    clientKeytab: files('users.keytab'),
    env,
    ticket: user => {
      const cache = `FILE:${files(`ticket-${user}`)}`
      tool('kinit', '-k', '-t', files('users.keytab'), '-c', cache, user)
      return cache
    },
    signal: signal => {
      kdc?.kill(signal)
    },
    stop,
  }
}

function configuration({ port, folder, plugins }: { port: number; folder: string; plugins: string }): string {
  return `[libdefaults]
  default_realm = ${REALM}
  dns_lookup_realm = false
  dns_lookup_kdc = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
  default_rcache_name = file2:${folder}/replays
[realms]
  ${REALM} = {
    kdc = 127.0.0.1:${port}
    kdc_listen = 127.0.0.1:${port}
    kdc_tcp_listen = 127.0.0.1:${port}
    database_name = ${folder}/db/principal
    key_stash_file = ${folder}/db/stash
    acl_file = ${folder}/kadm5.acl
  }
[domain_realm]
  localhost = ${REALM}
  .example = ${REALM}
[dbmodules]
  db_module_dir = ${plugins}
[logging]
  kdc = FILE:${folder}/kdc.log
  default = FILE:${folder}/kdc.log
`
}

function pluginsOf(root: string): string {
  const found = spawnSync('find', [root, '-name', 'db2.so'], { encoding: 'utf8' }).stdout.split('\n')[0]
  if (!found) throw new Error(`there is no database module db2.so in ${root}`)
  return join(found, '..')
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const there = await new Promise<boolean>(resolve => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (there) return
    await sleep(50)
  }
  throw new Error('the KDC does not listen after five seconds')
}
