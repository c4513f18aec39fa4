/** What a handler throws that nobody stood behind: the message goes back as it came, and counts no attempt. */
export const UNSEEN: Error = new Error('nobody has seen the message');
