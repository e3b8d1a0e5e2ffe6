/** A Dovecot of one's own, as a store: takes mail by LMTP at a port and at a socket, and keeps it in Maildirs. */
import { join } from 'node:path'
import { untilListening } from '../../../tools/bench/process.ts'
import { withCrlf } from '../letter.ts'
import { arrival } from '../mailbox.ts'
import { makeJail } from './jail.ts'
import type { MailSystem } from './mail-system.ts'

const CONFIGURATION = (port: number): string => `
protocols = lmtp
base_dir = /run/dovecot
log_path = /dev/stderr
info_log_path = /dev/stderr
ssl = no
import_environment = LD_LIBRARY_PATH
mail_location = maildir:/var/mail/%u
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = dovecot
default_internal_group = dovecot
default_login_user = dovenull
mailbox_list_index = no
lmtp_save_to_detail_mailbox = no
# Three people have mailboxes.
passdb {
  driver = passwd-file
  args = username_format=%u /etc/dovecot/users
}
userdb {
  driver = passwd-file
  args = username_format=%u /etc/dovecot/users
}
service lmtp {
  chroot =
  inet_listener lmtp {
    address = 127.0.0.1 ::1
    port = ${port}
  }
  unix_listener lmtp {
    mode = 0666
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`

export interface Store extends MailSystem {
  /** The socket at which it listens, too. */
  readonly socket: string
}

export async function startDovecot(port: number, people: readonly string[]): Promise<Store> {
  const jail = makeJail({
    peer: 'dovecot',
    users: ['dovecot', 'dovenull', 'vmail'],
    directories: {
      '/run/dovecot': {},
      '/var/mail': { owner: 'vmail' },
      '/tmp': { mode: 0o1777 },
      '/var/lib/dovecot': {},
    },
    files: {
      '/etc/dovecot/dovecot.conf': CONFIGURATION(port),
      '/etc/dovecot/users': people.map(person => `${person}:{PLAIN}secret::::::\n`).join(''),
    },
  })
  const program = jail.start('/usr/sbin/dovecot', ['-F'])
  await untilListening(program, port)
  return {
    version: jail.version,
    socket: join(jail.root, 'run/dovecot/lmtp'),
    arrived: async (token, mailbox) =>
      withCrlf(await arrival(join(jail.root, 'var/mail', mailbox, 'new'), token, program.said)),
    said: program.said,
    stop: () => program.stop(),
  }
}
