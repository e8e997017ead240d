// What we use of noVNC, which has no types of its own.
declare module "@novnc/novnc" {
  export default class RFB extends EventTarget {
    constructor(place: HTMLElement, socket: WebSocket, options?: { shared?: boolean });
    scaleViewport: boolean;
    focusOnClick: boolean;
    viewOnly: boolean;
    showDotCursor: boolean;
    background: string;
    qualityLevel: number;
    compressionLevel: number;
    disconnect(): void;
    focus(): void;
    sendKey(keysym: number, code: string | null, down?: boolean): void;
    sendCtrlAltDel(): void;
  }
}
