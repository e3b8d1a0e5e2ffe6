import type { Mailbox, ReversePath } from '../smtp/address.ts'
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
  /** What XEXCH50 brought, for servers of the same organisation. */
  readonly blob?: Blob
}

export interface Recipient {
  readonly to: Mailbox
  /** Upper case, as in `SUCCESS,DELAY` or `NEVER`; absent: the default, failure and delay (RFC 3461 §4.1). */
  readonly notify?: string
  readonly orcpt?: string
}

export function envelopeOf({ from, params, recipients, smtputf8, body, requireTls, blob }: Transaction): Envelope {
  const ret = param(params, 'RET')?.value?.toUpperCase()
  const envid = param(params, 'ENVID')?.value
  return {
    from,
    smtputf8,
    body,
    ...(ret === 'FULL' || ret === 'HDRS' ? { ret } : {}),
    ...(envid === undefined ? {} : { envid }),
    ...(requireTls && { requireTls }),
    ...(blob && { blob }),
    recipients: recipients.map(({ to, params: asked }) => {
      const notify = param(asked, 'NOTIFY')?.value?.toUpperCase()
      const orcpt = param(asked, 'ORCPT')?.value
      return { to, ...(notify === undefined ? {} : { notify }), ...(orcpt === undefined ? {} : { orcpt }) }
    }),
  }
}
