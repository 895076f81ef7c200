// What the screens say. show takes others in place of these, for another language.

export const texts = {
  outgoing: 'Outgoing call',
  incoming: 'Incoming call',
  calling: 'Calling…',
  ringing: 'Ringing…',
  connecting: 'Connecting…',
  talking: 'Ongoing call',
  reconnecting: 'Reconnecting…',
  answer: 'Answer',
  decline: 'Decline',
  cancel: 'Cancel',
  hangup: 'Hang up',
  mute: 'Mute',
  unmute: 'Unmute',
  muted: 'You are muted',
  left: '{time} left',
  unlock: 'Turn on sound',
  openDoor: 'Open door',
  opening: 'Opening the door…',
  opened: 'The door is open',
  refused: 'The door was not opened: {why}',
  door_not_allowed: 'you are not allowed to open it.',
  door_locked: 'the station is locked because its case was opened.',
  door_no_door: 'the station has no door.',
  door_not_connected: 'the call is not connected yet; try again.',
  door_not_in_call: 'the call is over.',
  door_too_often: 'too many requests; wait a moment.',
  elsewhere: 'This call is in another tab',
  answerHere: 'Answer here',
  loss: 'The connection is poor',
  round_trip: 'The connection is slow',
  jitter: 'The connection is uneven',
  mos: 'The connection is poor',
  no_media: 'No sound from the other party',
  no_microphone: 'Microphone disconnected',
  over: 'Call ended',
  declined: 'Call declined',
  missed: 'No answer',
  cancelled: 'Call cancelled',
  failed: 'The call failed',
  quality: 'Quality: {n} of 4',
};

/**
 * ofDoor says what became of a door, or why it was not opened.
 * @param {typeof texts} words
 * @param {import('./call.js').DoorAnswer | Error} answer
 */
export function ofDoor(words, answer) {
  if (answer instanceof Error) return words.refused.replace('{why}', answer.message);
  if (answer.result === 'opened') return words.opened;
  return words.refused.replace('{why}', words[/** @type {keyof typeof texts} */ (`door_${answer.reason ?? 'not_allowed'}`)] ?? words.door_not_allowed);
}
