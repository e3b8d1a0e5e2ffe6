import type { Instant } from '../base/time.ts'
import type { Mailbox, ReversePath } from '../smtp/address.ts'
import type { DeliverBy } from '../smtp/extension.ts'
import { param } from '../smtp/params.ts'
import type { Blob, Transaction } from '../smtp/session.ts'

/** What a message travels under. */
export interface Envelope {
  readonly from: ReversePath
  readonly recipients: readonly Recipient[]
  readonly smtputf8: boolean
  readonly body: '7bit' | '8bitmime' | 'binarymime'
  /** What the sender asked of reports (RFC 3461 §4.3, §4.4). */
  readonly ret?: 'FULL' | 'HDRS'
  readonly envid?: string
  /** It may travel under proven TLS only (RFC 8689 §2). */
  readonly requireTls?: boolean
  /** It is not to be sent before then (RFC 4865). */
  readonly hold?: Instant
  /** By when it is to be delivered, or else returned or its sender told (RFC 2852). */
  readonly deliverBy?: { readonly at: Instant; readonly mode: DeliverBy['mode']; readonly trace: boolean }
  /** How urgent it is, -9 to 9 (RFC 6710). */
  readonly priority?: number
  /** What XEXCH50 brought, for servers of the same organisation. */
  readonly blob?: Blob
}

export interface Recipient {
  readonly to: Mailbox
  /** Upper case, as in `SUCCESS,DELAY` or `NEVER`; absent: the default, failure and delay (RFC 3461 §4.1). */
  readonly notify?: string
  readonly orcpt?: string
}

/** The envelope of a message that was given now. */
export function envelopeOf(transaction: Transaction, now: Instant): Envelope {
  const { from, params, recipients, smtputf8, body, requireTls, blob, hold, by, priority } = transaction
  const ret = param(params, 'RET')?.value?.toUpperCase()
  const envid = param(params, 'ENVID')?.value
  return {
    from,
    smtputf8,
    body,
    ...(ret === 'FULL' || ret === 'HDRS' ? { ret } : {}),
    ...(envid === undefined ? {} : { envid }),
    ...(requireTls && { requireTls }),
    ...(hold !== undefined && { hold }),
    // Its time begins when it may go.
    ...(by && { deliverBy: { at: (hold ?? now) + by.within, mode: by.mode, trace: by.trace } }),
    ...(priority !== undefined && { priority }),
    ...(blob && { blob }),
    recipients: recipients.map(({ to, params: asked }) => {
      const notify = param(asked, 'NOTIFY')?.value?.toUpperCase()
      const orcpt = param(asked, 'ORCPT')?.value
      return { to, ...(notify === undefined ? {} : { notify }), ...(orcpt === undefined ? {} : { orcpt }) }
    }),
  }
}
