// A multiplier of ECP5 as Lattice documents it, as far as the gateware uses it: no register but the one of the product, which is
// clocked by CLK0, enabled by CE0 and cleared by RST0. Whatever else the parameters ask for makes the product unknown.
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE",
    parameter REG_INPUTB_CLK = "NONE",
    parameter REG_PIPELINE_CLK = "NONE",
    parameter REG_OUTPUT_CLK = "NONE",
    parameter REG_OUTPUT_CE = "CE0",
    parameter REG_OUTPUT_RST = "RST0",
    parameter GSR = "ENABLED",
    parameter RESETMODE = "SYNC"
) (
    input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
    input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
    output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17,
    output P18, P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    reg [35:0] product;

    // As in the silicon: partial products of the bits, the highest of a signed operand with negative weight.
    function [35:0] multiply(input [17:0] x, input [17:0] y, input signed_x, input signed_y);
        integer i;
        reg [35:0] row;
        begin
            multiply = 36'd0;
            for (i = 0; i < 18; i = i + 1) begin
                row = y[i] ? {{18{signed_x & x[17]}}, x} << i : 36'd0;
                multiply = i == 17 && signed_y ? multiply - row : multiply + row;
            end
        end
    endfunction

    wire supported = REG_INPUTA_CLK == "NONE" && REG_INPUTB_CLK == "NONE" && REG_PIPELINE_CLK == "NONE"
        && REG_OUTPUT_CLK == "CLK0" && REG_OUTPUT_CE == "CE0" && REG_OUTPUT_RST == "RST0"
        && GSR == "DISABLED" && RESETMODE == "SYNC" && SOURCEA === 1'b0 && SOURCEB === 1'b0;

    always @(posedge CLK0)
        if (!supported) product <= {36{1'bx}};
        else if (RST0) product <= 36'd0;
        else if (CE0) product <= multiply(a, b, SIGNEDA, SIGNEDB);

    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13, P12,
            P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = product;
endmodule
