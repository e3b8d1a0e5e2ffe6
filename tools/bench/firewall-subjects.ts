/** What can stand between a source and a sink: ours, other people's, and nothing at all. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { layOutHaraka } from '../../test/interop/peers/haraka.ts'
import { peer } from '../peers.ts'
import { freePorts, type Program, start, untilListening, workDirectory } from './process.ts'

const CHECKOUT = join(import.meta.dirname, '..', '..')

export interface Ports {
  readonly listen: number
  readonly sink: number
}

export interface Subject {
  readonly name: string
  readonly version: () => string
  /** Starts what is measured, and whatever it needs besides. `undefined`: nothing stands in the way. */
  readonly start: (ports: Ports) => Promise<Program | undefined>
  /** So slow that it is given this part of the messages; figures are by message. */
  readonly share?: number
}

const OURS = `postern on Node ${process.version}`

export const SUBJECTS: readonly Subject[] = [
  { name: 'postern-pix', version: () => OURS, start: startPix },
  { name: 'postern-asa', version: () => OURS, start: startAsa },
  { name: 'postern-strict', version: () => OURS, start: startStrict },
  { name: 'node-pass', version: () => `Node ${process.version}`, start: startNodePass },
  { name: 'nginx', version: () => peer('nginx').version, start: startNginx },
  { name: 'haproxy', version: () => peer('haproxy').version, start: startHaproxy },
  { name: 'haraka', version: () => peer('haraka').version, start: startHaraka, share: 1 / 10 },
  // For orientation: how fast source and sink are without anything between them. It costs nothing, so it has no ratio.
  { name: 'direct', version: () => peer('smtp-source').version, start: async () => undefined },
]

export function isOurs(name: string): boolean {
  return name.startsWith('postern-')
}

/** Sessions that a subject is set up for, where it asks for a number. */
const SESSIONS = 9_500

function startPix(ports: Ports): Promise<Program> {
  return startPostern('postern-pix', ports, [`fixup protocol smtp ${ports.listen}`])
}

/** As an ASA comes: its default map, for everything that comes to this port. */
function startAsa(ports: Ports): Promise<Program> {
  return startPostern('postern-asa', ports, [
    'class-map mail',
    ` match port tcp eq ${ports.listen}`,
    'policy-map global_policy',
    ' class mail',
    '  inspect esmtp',
    'service-policy global_policy global',
  ])
}

function startStrict(ports: Ports): Promise<Program> {
  return startPostern('postern-strict', ports, [`strict smtp ${ports.listen}`])
}

async function startPostern(name: string, { listen, sink }: Ports, inspection: readonly string[]): Promise<Program> {
  const file = configuration(name, [
    'nameif ethernet0 outside security0',
    'nameif ethernet1 inside security100',
    'ip address outside 127.0.0.1 255.0.0.0',
    'ip address inside 127.0.0.1 255.0.0.0',
    ...inspection,
    `access-list mail permit tcp any host 127.0.0.1 eq ${listen}`,
    `static (inside,outside) tcp 127.0.0.1 ${listen} 127.0.0.1 ${sink} netmask 255.255.255.255`,
    'access-group mail in interface outside',
    // All come from one address, as they do not elsewhere.
    `limit connections ${SESSIONS}`,
    `limit source connections ${SESSIONS}`,
  ])
  return start({ name, command: join(CHECKOUT, 'postern'), args: ['firewall', 'run', '--quiet', file] })
}

async function startNodePass({ listen, sink }: Ports): Promise<Program> {
  const file = join(import.meta.dirname, 'node-pass.ts')
  const args = ['--disable-warning=ExperimentalWarning', file, String(listen), String(sink)]
  return start({ name: 'node-pass', command: process.execPath, args })
}

/** Takes every recipient, and a message only once the server behind has taken it. */
async function startHaraka({ listen, sink }: Ports): Promise<Program> {
  return layOutHaraka({
    'config/smtp.ini': `listen=127.0.0.1:${listen}\n`,
    'config/plugins': 'anybody\nqueue/smtp_forward\n',
    'config/smtp_forward.ini': `host=127.0.0.1\nport=${sink}\n`,
    'config/me': 'haraka.example\n',
    'config/loglevel': 'LOGERROR\n',
    // As many octets as there are (0 is no limit).
    'config/connection.ini': '[max]\nbytes=0\n[message]\n[uuid]\n',
    'plugins/anybody.js': 'exports.hook_rcpt = next => next(OK)\n',
  }).program
}

async function startNginx({ listen, sink }: Ports): Promise<Program> {
  const { root } = peer('nginx')
  // nginx asks over HTTP for each session where to send it. Another nginx answers, outside of what is measured.
  const [auth = 0] = await freePorts(1)
  const answering = startNginxWith('nginx-auth', [
    'http {',
    '  access_log off;',
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(each => `  ${each}_temp_path ${each};`),
    `  server { listen 127.0.0.1:${auth}; location / {`,
    `    add_header Auth-Status OK; add_header Auth-Server 127.0.0.1; add_header Auth-Port ${sink}; return 204;`,
    '  } }',
    '}',
  ])
  await untilListening(answering, auth)
  return startNginxWith(
    'nginx',
    [
      'mail {',
      '  server_name nginx.example;',
      `  auth_http 127.0.0.1:${auth}/;`,
      '  proxy on; xclient off; smtp_auth none;',
      `  server { listen 127.0.0.1:${listen}; protocol smtp; }`,
      '}',
    ],
    `load_module ${join(root, 'usr/lib/nginx/modules/ngx_mail_module.so')};`,
  )
}

function startNginxWith(name: string, body: readonly string[], ...head: readonly string[]): Program {
  const { command, env } = peer('nginx')
  const prefix = mkdtempSync(join(workDirectory(), `${name}-`))
  const user = process.getuid?.() === 0 ? ['user nobody nogroup;'] : []
  const common = [
    'daemon off;',
    'worker_processes 1;',
    'pid nginx.pid;',
    'error_log stderr;',
    // Two for each session, and one for each question.
    `events { worker_connections ${3 * SESSIONS}; }`,
  ]
  const file = configuration(name, [...head, ...user, ...common, ...body])
  return start({ name, command, env, args: ['-p', prefix, '-e', 'stderr', '-c', file] })
}

async function startHaproxy({ listen, sink }: Ports): Promise<Program> {
  const { command, env } = peer('haproxy')
  const file = configuration('haproxy', [
    'global',
    '  nbthread 1',
    `  maxconn ${SESSIONS}`,
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 10m',
    '  timeout server 10m',
    'listen mail',
    `  bind 127.0.0.1:${listen}`,
    `  server sink 127.0.0.1:${sink}`,
  ])
  return start({ name: 'haproxy', command, env, args: ['-db', '-f', file] })
}

function configuration(name: string, lines: readonly string[]): string {
  const file = join(mkdtempSync(join(workDirectory(), `${name}-`)), 'conf')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}
