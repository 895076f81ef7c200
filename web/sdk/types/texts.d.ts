/**
 * ofDoor says what became of a door, or why it was not opened.
 * @param {typeof texts} words
 * @param {import('./call.js').DoorAnswer | Error} answer
 */
export function ofDoor(words: typeof texts, answer: import("./call.js").DoorAnswer | Error): string;
export namespace texts {
    let outgoing: string;
    let incoming: string;
    let calling: string;
    let ringing: string;
    let connecting: string;
    let talking: string;
    let reconnecting: string;
    let answer: string;
    let decline: string;
    let cancel: string;
    let hangup: string;
    let mute: string;
    let unmute: string;
    let muted: string;
    let left: string;
    let unlock: string;
    let openDoor: string;
    let opening: string;
    let opened: string;
    let refused: string;
    let door_not_allowed: string;
    let door_locked: string;
    let door_no_door: string;
    let door_not_connected: string;
    let door_not_in_call: string;
    let door_too_often: string;
    let elsewhere: string;
    let answerHere: string;
    let loss: string;
    let round_trip: string;
    let jitter: string;
    let mos: string;
    let no_media: string;
    let no_microphone: string;
    let over: string;
    let declined: string;
    let missed: string;
    let cancelled: string;
    let failed: string;
    let quality: string;
}
