/**
 * Other people's mail software, for comparing and for testing against: fetched from Debian or npm into `.cache/peers/`,
 * unpacked there and run from there. Nothing is installed on the machine, no root is needed, and one `rm -r .cache/peers`
 * undoes it.
 */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

export interface Peer {
  readonly command: string
  /** To be laid over the environment: where the unpacked libraries and Perl modules are. */
  readonly env: { readonly LD_LIBRARY_PATH: string; readonly PERL5LIB?: string }
  /** What would be `/` had the packages been installed. */
  readonly root: string
  /** The package and its version: `nginx 1.22.1-9+deb12u9`. */
  readonly version: string
}

/** Debian's packages for one unpacked tree; the first one gives the version. */
const TREES = {
  postfix: ['postfix'],
  nginx: ['nginx', 'libnginx-mod-mail', 'libnginx-mod-stream'],
  haproxy: ['haproxy'],
  exim: ['exim4-daemon-light'],
  'exim-heavy': ['exim4-daemon-heavy'],
  dovecot: ['dovecot-core', 'dovecot-imapd', 'dovecot-lmtpd'],
  gsasl: ['gsasl'],
  krb5: ['krb5-kdc', 'krb5-admin-server', 'krb5-user'],
  opensmtpd: ['opensmtpd'],
  msmtp: ['msmtp'],
  swaks: ['swaks', 'libio-socket-inet6-perl', 'libnet-ssleay-perl'],
} as const

/** npm's packages, each with all it needs in a tree of its own: they must not weigh on our lock file. */
const NPM_TREES = {
  haraka: { name: 'Haraka', version: '3.3.4' },
} as const

const PEERS = {
  postfix: { tree: 'postfix', command: 'usr/sbin/postfix' },
  'smtp-source': { tree: 'postfix', command: 'usr/sbin/smtp-source' },
  'smtp-sink': { tree: 'postfix', command: 'usr/sbin/smtp-sink' },
  'posttls-finger': { tree: 'postfix', command: 'usr/sbin/posttls-finger' },
  nginx: { tree: 'nginx', command: 'usr/sbin/nginx' },
  haproxy: { tree: 'haproxy', command: 'usr/sbin/haproxy' },
  exim: { tree: 'exim', command: 'usr/sbin/exim4' },
  /** The build that knows PROXY. */
  'exim-heavy': { tree: 'exim-heavy', command: 'usr/sbin/exim4' },
  dovecot: { tree: 'dovecot', command: 'usr/sbin/dovecot' },
  gsasl: { tree: 'gsasl', command: 'usr/bin/gsasl' },
  krb5kdc: { tree: 'krb5', command: 'usr/sbin/krb5kdc' },
  kdb5_util: { tree: 'krb5', command: 'usr/sbin/kdb5_util' },
  'kadmin.local': { tree: 'krb5', command: 'usr/sbin/kadmin.local' },
  kinit: { tree: 'krb5', command: 'usr/bin/kinit' },
  opensmtpd: { tree: 'opensmtpd', command: 'usr/sbin/smtpd' },
  msmtp: { tree: 'msmtp', command: 'usr/bin/msmtp' },
  swaks: { tree: 'swaks', command: 'usr/bin/swaks' },
  /** To be run by Node. */
  haraka: { tree: 'haraka', command: 'node_modules/Haraka/bin/haraka' },
} as const

export type PeerName = keyof typeof PEERS

/** Where Debian keeps Perl's modules: `usr/share/perl5`, and by machine and version `usr/lib/x86_64-linux-gnu/perl5/5.36`. */
const PERL_MODULES = /^usr\/(?:share\/perl5|lib\/[^/]+\/perl5\/[^/]+)$/

const CACHE = join(import.meta.dirname, '..', '.cache', 'peers')
/** Written last into a tree: one `package version` per line. A tree without it is not whole. */
const CONTENTS = 'packages.txt'

/** How to run this program, fetching it first where needed. Throws where it cannot be had, saying why. */
export function peer(name: PeerName): Peer {
  const { tree, command } = PEERS[name]
  const root = join(CACHE, tree)
  if (!existsSync(join(root, CONTENTS))) fetch(tree, root)
  const contents = readFileSync(join(root, CONTENTS), 'utf8').split('\n')
  const main = tree in NPM_TREES ? NPM_TREES[tree as NpmTree].name : TREES[tree as DebianTree][0]
  const perl = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(each => PERL_MODULES.test(each))
  return {
    command: join(root, command),
    env: {
      LD_LIBRARY_PATH: directories(root, /^lib.*\.so(\.|$)/, ['lib', 'usr/lib']).join(':'),
      ...(perl.length > 0 && { PERL5LIB: perl.map(each => join(root, each)).join(':') }),
    },
    root,
    version: contents.find(line => line.startsWith(`${main} `)) ?? main,
  }
}

type DebianTree = keyof typeof TREES
type NpmTree = keyof typeof NPM_TREES

/** Unpacks a tree aside and renames it, so that two who fetch at once do not meet in a half-written one. */
function fetch(tree: DebianTree | NpmTree, root: string): void {
  mkdirSync(CACHE, { recursive: true })
  const aside = mkdtempSync(join(CACHE, `.${tree}-`))
  try {
    const unpacked = join(aside, 'root')
    mkdirSync(unpacked)
    const contents = tree in NPM_TREES ? fetchNpm(tree as NpmTree, unpacked) : fetchDebian(tree as DebianTree, unpacked)
    writeFileSync(join(unpacked, CONTENTS), contents)
    try {
      renameSync(unpacked, root)
    } catch (cause) {
      if (!existsSync(join(root, CONTENTS))) throw cause
    }
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
}

function fetchDebian(tree: DebianTree, into: string): string {
  process.stderr.write(`peers: fetching ${TREES[tree].join(', ')} from Debian into .cache/peers/${tree} (once)\n`)
  const debs = `${into}-debs`
  mkdirSync(debs)
  const { packages, lists } = resolve(TREES[tree])
  run('apt-get', [...lists, '-qq', 'download', ...packages.map(aptName)], debs)
  for (const deb of readdirSync(debs)) run('dpkg-deb', ['-x', join(debs, deb), into], debs)
  return packages.map(({ name, version }) => `${name} ${version}\n`).join('')
}

function fetchNpm(tree: NpmTree, into: string): string {
  const { name, version } = NPM_TREES[tree]
  process.stderr.write(`peers: fetching ${name} from npm into .cache/peers/${tree} (once)\n`)
  // Without what is optional: that is native code to be compiled, and mail flows without it.
  const options = ['--omit=optional', '--ignore-scripts', '--no-fund', '--no-audit', '--loglevel=error']
  run('npm', ['install', ...options, '--prefix', into, `${name}@${version}`], into)
  return `${name} ${version}\n`
}

export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly architecture: string
}

/** The packages and those of their dependencies that the machine lacks, with apt's options for where its lists are. */
function resolve(names: readonly string[]): { packages: readonly DebianPackage[]; lists: readonly string[] } {
  // Asking for a plan changes nothing, and needs no root. `--reinstall` has a package that happens to be installed fetched
  // all the same: what runs must not depend on what is installed. (`--print-uris` would leave out what lies in apt's cache.)
  const plan = ['install', '--simulate', '-qq', '--reinstall', '--no-install-recommends', ...names]
  try {
    return { packages: parsePlan(run('apt-get', plan)), lists: [] }
  } catch (cause) {
    if (!/unable to locate|no installation candidate|cannot be downloaded/i.test(String(cause))) throw cause
  }
  // Images often come without package lists. Ours are kept in the cache, and fetching them needs no root either.
  mkdirSync(join(CACHE, 'lists', 'partial'), { recursive: true })
  const lists = [
    '-o',
    `Dir::State::lists=${join(CACHE, 'lists')}`,
    '-o',
    'Dir::Cache::pkgcache=',
    '-o',
    'Dir::Cache::srcpkgcache=',
  ]
  // As root apt would change to a user of its own to fetch, who may not write here.
  const options = [...lists, '-o', 'APT::Sandbox::User=root']
  run('apt-get', [...options, '-qq', 'update'])
  return { packages: parsePlan(run('apt-get', [...options, ...plan])), lists: options }
}

/** Reads apt's plan: `Inst NAME [INSTALLED] (VERSION RELEASE [ARCHITECTURE])`, a line for each package. */
export function parsePlan(text: string): readonly DebianPackage[] {
  return (
    [...text.matchAll(/^Inst (\S+) (?:\[[^\]]*\] )?\((\S+) .*\[(\S+)\]\)/gm)]
      .map(([, name = '', version = '', architecture = '']) => ({ name, version, architecture }))
      // Another C library than the one its loader belongs to would end every program at once.
      .filter(({ name }) => name !== 'libc6')
  )
}

function aptName({ name, version, architecture }: DebianPackage): string {
  return `${name}${architecture === 'all' ? '' : `:${architecture}`}=${version}`
}

/** The directories below some of a tree's that hold a file of such a name. */
function directories(root: string, name: RegExp, tops: readonly string[]): readonly string[] {
  const found = new Set<string>()
  for (const top of tops) {
    if (!existsSync(join(root, top))) continue
    for (const entry of readdirSync(join(root, top), { recursive: true, withFileTypes: true })) {
      if (name.test(entry.name)) found.add(entry.parentPath)
    }
  }
  return [...found].sort()
}

function run(command: string, args: readonly string[], cwd: string = CACHE): string {
  const ran = spawnSync(command, args, { cwd, encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
  if (ran.error) {
    const missing = 'code' in ran.error && ran.error.code === 'ENOENT'
    throw new Error(
      missing
        ? `${command} is not here, and the peers come from Debian's packages; run this on Debian or Ubuntu, or without them`
        : `${command} could not be run: ${ran.error.message}`,
    )
  }
  if (ran.status !== 0) {
    const said = ran.stderr.trim() || `exit status ${ran.status ?? ran.signal}`
    throw new Error(`fetching a peer failed: ${command} ${args.at(0) === '-x' ? '-x' : args.join(' ')}: ${said}`)
  }
  return ran.stdout
}
